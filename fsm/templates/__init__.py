"""The files that a beginning is made from: what `init` and `rules new` write, as they are shipped.

The first three are the files of the repository's own root, linked to, so that there is one of each.
"""
