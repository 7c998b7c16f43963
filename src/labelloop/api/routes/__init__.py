"""The routes, one file for each kind of caller."""

from fastapi.routing import APIRoute

from labelloop.api.access import Requires
from labelloop.api.routes.data import router as data
from labelloop.api.routes.keys import router as keys
from labelloop.api.routes.pages import router as pages
from labelloop.api.routes.projects import router as projects
from labelloop.api.routes.service import router as service
from labelloop.api.routes.training import router as training
from labelloop.api.routes.work import router as work

ROUTERS = (service, keys, projects, data, work, training, pages)
"""Every router there is; a test sees to it that each route in them declares who may call it."""


def role_of(operation_id: str) -> str | None:
    """The role that a call declares; None for a public one."""
    routes = (route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute))
    route = next(route for route in routes if route.operation_id == operation_id)
    calls = (dependency.call for dependency in route.dependant.dependencies)
    return next((call.role.value for call in calls if isinstance(call, Requires)), None)
