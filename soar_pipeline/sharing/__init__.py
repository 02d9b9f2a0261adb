"""Questions and models of a run as folders that are ready for the Hub (docs/sharing.md)."""
