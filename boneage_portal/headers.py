"""Headers of every answer beside those of Django and django-csp: pages, files, errors and the administration."""

from django.conf import settings

# What no page asks the browser for. Passkeys (publickey-credentials-*) and the clipboard stay as browsers have them.
UNUSED_FEATURES = (
    "accelerometer",
    "autoplay",
    "browsing-topics",
    "camera",
    "display-capture",
    "geolocation",
    "gyroscope",
    "hid",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "serial",
    "usb",
)


class HeadersMiddleware:
    """Stands first, so that no answer passes it by."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", ", ".join(f"{name}=()" for name in UNUSED_FEATURES))
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if not request.path.startswith(settings.STATIC_URL):
            # A shared workstation keeps no page of a patient; a browser that goes back asks anew who is there.
            response.headers.setdefault("Cache-Control", "no-store")
        return response
