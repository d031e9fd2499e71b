"""The page for whoever opens an address that only takes forms: one that was entered again, or kept as a bookmark."""

from django.http import HttpResponseNotAllowed
from django.template.loader import render_to_string


class NotAllowedMiddleware:
    """Stands last: the page shows who is signed in, and where. The API answers programs in its own way."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        if request.method == "GET" and isinstance(response, HttpResponseNotAllowed):
            response.content = render_to_string("405.html", request=request)
        return response
