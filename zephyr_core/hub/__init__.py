"""The Hugging Face Hub: datasets and models, fetched at one commit or read from its cache, and published in one."""

from zephyr_core.hub.fetching import (
    LISTINGS,
    Choose,
    Snapshot,
    cached,
    cached_file,
    fetch,
    is_hub_id,
    with_commit,
)
from zephyr_core.hub.publishing import Publication, Published, publish
from zephyr_core.hub.pulling import pull
from zephyr_core.hub.refusals import Kind, Request

__all__ = [
    "LISTINGS",
    "Choose",
    "Kind",
    "Publication",
    "Published",
    "Request",
    "Snapshot",
    "cached",
    "cached_file",
    "fetch",
    "is_hub_id",
    "publish",
    "pull",
    "with_commit",
]
