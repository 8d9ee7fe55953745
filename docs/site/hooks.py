"""Hooks of the site's build (mkdocs.yml): a page of the site loads nothing from elsewhere."""

from __future__ import annotations

from typing import Any

SHIM = "https://unpkg.com/iframe-worker/shim"
"""What the plugin ``offline`` asks for, so that the search works from the disk; the same file lies beside this one."""
OWN = "site/iframe-worker-shim.js"


def on_post_page(output: str, page: Any, **given: Any) -> str:
    return output.replace(SHIM, "../" * page.url.count("/") + OWN)


def on_post_template(output_content: str, **given: Any) -> str:
    return output_content.replace(SHIM, OWN)
