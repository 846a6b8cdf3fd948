"""All that is answered by Flask, as one application: what a browser or an admin asks for."""

from __future__ import annotations

from flask import Flask

from ecrsim.admin.routes import admin_pages
from ecrsim.core.runtime import Runtime
from ecrsim.gallery.pages import gallery_pages

#: Makers of the blueprints of each part, in the order of registration. A console is one more line.
PARTS = (admin_pages, gallery_pages)


def compose(runtime: Runtime) -> Flask:
    """The Flask application of a runtime."""
    pages = Flask("ecrsim", static_folder=None)
    pages.config["MAX_CONTENT_LENGTH"] = runtime.config.max_body
    for blueprints_of in PARTS:
        for blueprint in blueprints_of(runtime):
            pages.register_blueprint(blueprint)
    return pages
