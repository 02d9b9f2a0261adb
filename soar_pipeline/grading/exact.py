"""Whether two SymPy expressions are equal: exactly if that can be decided, and never by rounded floats.

Numbers: as rationals if they are rational; else their difference is evaluated with interval-like error control (SymPy's
`evalf` raises its working precision until the digits asked for are right). A difference that is zero to DIGITS digits
beyond the larger number is taken for zero: algebraic numbers that answers consist of lie further apart.
Expressions with variables: at several rational points, negative ones too; they are equal if they agree at each point
at which they are real, and are real at the same points.
"""

from fractions import Fraction

from sympy import (
    Abs,
    Basic,
    Derivative,
    Expr,
    Float,
    Function,
    I,
    Integer,
    Integral,
    Limit,
    MatrixBase,
    MatrixExpr,
    Mul,
    Pow,
    Product,
    Rational,
    Sum,
    Symbol,
    UnevaluatedExpr,
    log,
    nan,
    oo,
    preorder_traversal,
    simplify,
    zoo,
)
from sympy.core.evalf import PrecisionExhausted
from sympy.core.function import AppliedUndef

# Digits to which two equal numbers must agree, and those that a number may have before its point.
DIGITS, LARGEST = 120, 20_000
# Places and significant digits of a decimal that stands for an exact number: 0.333333 for 1/3.
ROUNDED = 6
HUNDREDTH = UnevaluatedExpr(Rational(1, 100))
# Where expressions are compared: no zeros, no integers, and of both signs; each variable takes another one.
POINTS = tuple(
    Rational(numerator, denominator)
    for numerator, denominator in [(7, 5), (29, 13), (-11, 7), (-3, 17), (5, 19), (103, 31), (-41, 11), (101, 23)]
)
STEP = 1
# For what is real at whole numbers only, such as (−1)^n.
WHOLE_POINTS = (Integer(3), Integer(4), Integer(7), Integer(2), Integer(6))


def equal(a: Basic | MatrixBase, b: Basic | MatrixBase) -> bool:
    """Whether the two are equal; a percent sign counts for nothing or for a hundredth (50 % is 50, and 0.5)."""
    a, b = (evaluated(side) for side in (a, b))
    if isinstance(a, MatrixBase) and isinstance(b, MatrixBase):
        return a.shape == b.shape and all(map(equal, a.flat(), b.flat()))
    if not (isinstance(a, Expr) and isinstance(b, Expr)):
        return bool(a == b)
    return any(_equal(x, y) for x, y in _readings(a, b))


def evaluated(side: Basic | MatrixBase) -> Basic | MatrixBase:
    return side.doit() if isinstance(side, MatrixBase | MatrixExpr) else side


def _readings(a: Expr, b: Expr) -> list[tuple[Expr, Expr]]:
    """The pairs that a percent sign may stand for."""
    if not (a.has(HUNDREDTH) or b.has(HUNDREDTH)):
        return [(a, b)]
    hundredths = [(a.subs(HUNDREDTH, Rational(1, 100)), b.subs(HUNDREDTH, Rational(1, 100)))]
    return [*hundredths, (a.subs(HUNDREDTH, 1), b.subs(HUNDREDTH, 1))]


def _equal(a: Expr, b: Expr) -> bool:
    if a == b:
        return True
    if a.has(nan, zoo) or b.has(nan, zoo):
        return False
    places = [decimal_places(side) for side in (a, b)]
    a, b = (with_rationals(side) for side in (a, b))
    if not (a.free_symbols or b.free_symbols):
        return equal_numbers(a, b) or any(
            _rounds_to(side, other, count) for side, other, count in ((a, b, places[0]), (b, a, places[1]))
        )
    return _equal_at_points(a, b)


def decimal_places(side: Expr) -> int | None:
    """Places of an expression that is a decimal, else None."""
    number = -side if side.could_extract_minus_sign() else side
    return _places(rational_of(number)) if isinstance(number, Float) else None


def _places(number: Rational) -> int:
    places = 0
    while (10**places * number.p) % number.q and places < 100:
        places += 1
    return places


def rational_of(number: Float) -> Rational:
    """The decimal as it was written: SymPy keeps of it the digits that it had."""
    return Rational(Fraction(str(number)))


def with_rationals(side: Expr) -> Expr:
    return side.xreplace({number: rational_of(number) for number in side.atoms(Float)})


def _rounds_to(decimal: Expr, other: Expr, places: int | None) -> bool:
    """Whether the decimal is the other number rounded to its places, and has enough of them to mean that."""
    if places is None or places < ROUNDED or abs(decimal.p) < 10 ** (ROUNDED - 1) * decimal.q / 10**places:
        return False
    distance = Abs(other - decimal)
    return bool(distance.evalf(30) <= Rational(1, 2 * 10**places)) if other.is_real is not False else False


def equal_numbers(a: Expr, b: Expr) -> bool:
    """Two expressions without variables or decimals."""
    a, b = real_roots(a), real_roots(b)
    # Before anything is multiplied out: most numbers differ in their first digits, and some are towers of powers.
    if _differ(a - b, DIGITS // 4):
        return False
    a, b = (real_roots(side.doit()) for side in (a, b))
    if a == b:
        return True
    if (isinstance(a, Rational) and isinstance(b, Rational)) or a.has(oo, -oo) or b.has(oo, -oo):
        return False
    return not _differ(a - b, DIGITS + _size(a))


def real_roots(number: Expr) -> Expr:
    """With the real cube root of −8 in place of the principal one, unless the number is a complex one."""
    if number.has(I):
        return number

    def real(power: Pow) -> Expr:
        base, exponent = power.args
        return Mul(-1 if exponent.p % 2 else 1, Pow(-base, exponent))

    return number.replace(
        lambda part: (
            isinstance(part, Pow)
            and isinstance(part.exp, Rational)
            and part.exp.q % 2 == 1
            and part.exp.q > 1
            and part.base.is_negative
        ),
        real,
    )


def _size(number: Expr) -> int:
    """Digits before the point, at most LARGEST."""
    value = number.evalf(2, maxn=LARGEST)
    if value.has(oo, nan, zoo):
        return LARGEST
    magnitude = max((abs(part) for part in value.as_real_imag()), default=Integer(0))
    return min(LARGEST, int(log(magnitude, 10).evalf(3)) + 1) if magnitude > 1 else 0


def _differ(difference: Expr, digits: int, values: dict[Symbol, Rational] | None = None) -> bool:
    """Whether the difference of two expressions is not zero, to so many digits."""
    try:
        return difference.evalf(2, maxn=digits, strict=True, subs=values) != 0
    except PrecisionExhausted:
        return False
    except (NotImplementedError, ValueError, TypeError, AttributeError):
        return simplify(difference).is_zero is not True


def _equal_at_points(a: Expr, b: Expr) -> bool:
    a, b = (_without_operators(side) for side in (a, b))
    variables = sorted(a.free_symbols | b.free_symbols, key=str)
    complex_numbers = a.has(I) or b.has(I)
    for points in (POINTS, WHOLE_POINTS):
        compared = 0
        for shift in range(len(points)):
            values = {
                variable: points[(shift + STEP * k) % len(points)] * (1 + k // len(points))
                for k, variable in enumerate(variables)
            }
            if complex_numbers or (_is_real(a, values) and _is_real(b, values)):
                compared += 1
                if _differ(a - b, DIGITS, values):
                    return False
        if compared:
            return True
    return simplify(a - b).is_zero is True


def _without_operators(side: Expr) -> Expr:
    """Sums and integrals worked out, and functions that nobody defined as variables."""
    if side.has(Sum, Product, Integral, Derivative, Limit):
        side = side.doit()
    return side.xreplace({call: Symbol(str(call), real=True) for call in side.atoms(AppliedUndef)})


def _is_real(side: Expr, values: dict[Symbol, Rational]) -> bool:
    """Whether the expression and all that it is made of are real numbers at a point."""
    return all(
        part.evalf(5, subs=values).is_real
        for part in preorder_traversal(side)
        if isinstance(part, Pow | Function) and not isinstance(part.args[-1], Integer)
    )
