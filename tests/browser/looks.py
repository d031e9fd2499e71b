"""What a page must have to look right, whichever it is."""

from axe_playwright_python.sync_playwright import Axe

# What a theme or a width changes. All else is said by the elements, which are the same in every one.
SEEN = ["color-contrast", "scrollable-region-focusable"]
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 800}
TABLETS = [{"width": 768, "height": 1024}, {"width": 1024, "height": 768}]
PLOTS = ".js-plotly-plot .main-svg:first-child"


def looks_right(page, where="", rules=None):
    """Axe finds nothing on this page, by all of its rules or by `rules`, and it does not scroll sideways."""
    # `preload` would fetch the styles anew, and try them out where the policy forbids it. Of what is right nothing is
    # asked: to name each element of it takes as long as to look.
    options = {"preload": False, "resultTypes": ["violations"]}
    found = Axe().run(page, options=options | ({"runOnly": rules} if rules else {}))
    assert found.violations_count == 0, f"{where or page.url}\n{found.generate_report()}"
    fits(page, where)


def fits(page, where=""):
    """The page does not scroll sideways."""
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, f"{where or page.url} is {overflow} pixels too wide"


def looks_right_both_ways(page, where=""):
    """A page that is open wide and light looks right so and on a phone in the dark, and fits a tablet.

    It is left as it was.
    """
    where = where or page.url
    looks_right(page, f"{where}, wide and light")
    paper = page.evaluate("plots => document.querySelector(plots)?.style.background", PLOTS)
    for tablet in TABLETS:
        page.set_viewport_size(tablet)
        fits(page, f"{where}, {tablet['width']} pixels wide,")
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")  # no colour on its way from one to the other
    painted_anew = "([plots, was]) => [...document.querySelectorAll(plots)].every(svg => svg.style.background !== was)"
    page.wait_for_function(painted_anew, arg=[PLOTS, paper])
    looks_right(page, f"{where}, at phone width and dark", SEEN)
    page.set_viewport_size(WIDE)
    page.emulate_media(color_scheme="light")
