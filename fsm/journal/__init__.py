"""The one owner of the journal's shape: who writes it, explains it, and decides it again."""
