"""The verifier that is a function of the user's own (docs/verdicts.md)."""

from collections.abc import Callable

from soar_pipeline.config import ConfigError, OwnVerifier
from soar_pipeline.config.own_functions import read_verifier_file
from soar_pipeline.grading.verifiers import VerifierError

# Characters of a text that an error message repeats.
REPEATED = 200


def own_function(verifier: OwnVerifier) -> Callable[[str, str], bool]:
    """The function (gold, answer) -> bool; a call that raises or returns anything else is a VerifierError.

    Raises VerifierError if the file cannot be used or is not the one whose digest the verifier has.
    """
    try:
        own = read_verifier_file(verifier, "verifier")
        function = own.load("own_verifier")
    except ConfigError as error:
        raise VerifierError(str(error)) from None
    # Whatever the file does, sys.exit() too, must not look like a worker that was killed.
    except BaseException as error:
        raise VerifierError(f"verifier: {verifier.file} cannot be imported: {_described(error)}") from None

    def same(gold: str, answer: str) -> bool:
        call = f"verifier: {own.path}: {own.function}({gold[:REPEATED]!r}, {answer[:REPEATED]!r})"
        try:
            verdict = function(gold, answer)
        # The worker's memory limit: the request ends as a timeout.
        except MemoryError:
            raise
        except BaseException as error:
            raise VerifierError(f"{call} raised {_described(error)}; return False instead") from None
        if not isinstance(verdict, bool):
            raise VerifierError(f"{call} returned {verdict!r:.200}; return True or False")
        return verdict

    return same


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
