"""The lifecycle simulator: what a policy would do to a repository, day by day, before it is set.

`sources`, `prices` and `command` read and write; all else is values in, values out. The decisions are those of
`ecr/lifecycle/engine.py`.
"""
