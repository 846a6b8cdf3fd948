"""The store of advisories: a file of its own beside the database, indexed, read by all workers and replaced whole."""

from ecrsim.ecr.scanning.advisories.book import Advisories, RecordsRefused, open_advisories
from ecrsim.ecr.scanning.advisories.replacing import AdvisoriesBusy, AdvisoriesDamaged

__all__ = ["Advisories", "AdvisoriesBusy", "AdvisoriesDamaged", "RecordsRefused", "open_advisories"]
