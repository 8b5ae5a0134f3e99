"""The wheel's packages: all below captioner/, and conf/ as captioner.conf."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["captioner", "captioner.*"]), "captioner.conf"])
