"""The HTTP API, version 1: an index and a request in, JSON and pictures out.

All that only reads can be linked to; what is looked for is named by ids, of works and of pictures
that were sent before. Errors are raised here, and become problems in ``app.py``.
"""

from fastapi import APIRouter

from paint_search.serve.api import collection, search, selections, works
from paint_search.serve.api.common import PROBLEMS

api = APIRouter(prefix="/v1", responses=PROBLEMS)
for part in (works, search, collection, selections):
    api.include_router(part.router)
