"""The routes, one file for each kind of caller."""

from labelloop.api.routes.data import router as data
from labelloop.api.routes.pages import router as pages
from labelloop.api.routes.projects import router as projects
from labelloop.api.routes.service import router as service
from labelloop.api.routes.training import router as training
from labelloop.api.routes.work import router as work

ROUTERS = (service, projects, data, work, training, pages)
"""Every router there is; a test sees to it that each route in them declares who may call it."""
