"""Tests of rules in YAML: what a file of them says, and whether rules do as it expects."""
