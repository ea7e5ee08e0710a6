"""Importers on a database and a folder of the test's own."""

from pathlib import Path

import pytest

from db.database import Database
from tests.importers.importer import Fetch, Importer
from tests.importers.loop import Project


@pytest.fixture
def importer(database: Database, fetch: Fetch, tmp_path: Path) -> Importer:
    return Importer(database, fetch, tmp_path / "projects")


@pytest.fixture
def project(database: Database, fetch: Fetch, tmp_path: Path) -> Project:
    return Project(database, fetch, tmp_path / "shop")
