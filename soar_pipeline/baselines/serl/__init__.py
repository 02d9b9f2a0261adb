"""The SeRL baseline (Fang et al. 2025): self-play on questions that the model writes and a majority answers.

See docs/method.md §10, read from the released code as well as from the paper. What the code does against its own paper
stands behind the one switch `serl.faithful`, and each oddity is explained beside its code: `cleaning.listed`
and `cleaning.cleaned`.
"""
