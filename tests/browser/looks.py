"""What a page must have to look right, whichever it is."""

from axe_playwright_python.sync_playwright import Axe

# What a theme or a width changes. All else is said by the elements, which are the same in every one.
SEEN = ["color-contrast", "scrollable-region-focusable"]


def looks_right(page, where="", rules=None):
    """Axe finds nothing on this page, by all of its rules or by `rules`, and it does not scroll sideways."""
    options = {"preload": False}  # it would fetch the styles anew, and try them out where the policy forbids it
    found = Axe().run(page, options=options | ({"runOnly": rules} if rules else {}))
    assert found.violations_count == 0, f"{where or page.url}\n{found.generate_report()}"
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, f"{where or page.url} is {overflow} pixels too wide"
