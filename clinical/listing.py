"""Every list of the portal pages, sorts and filters alike."""

from django.core.paginator import Paginator
from django.db.models import F

PAGE_SIZE = 25


def arranged(filterset, sorts, sort, default):
    """The keys of the rows that a filterset finds, in the order `sort`; returns (keys, the sort that was taken).

    sorts: name -> tuple of fields; a sort is "name" or "-name". What is not understood falls back to the default
    order, and a filter that is filled in wrongly finds nothing.
    """
    rows = filterset.qs if filterset.is_valid() else filterset.queryset.none()
    if sort.removeprefix("-") not in sorts:
        sort = default
    return ordered(rows, sorts, sort).values_list("pk", flat=True), sort


def ordered(rows, sorts, sort):
    """`rows` in the order `sort`, which is one of `sorts`."""
    fields = sorts[sort.removeprefix("-")]
    return rows.order_by(*(_order(field, descending=sort.startswith("-")) for field in fields))


def listing(request, filterset, sorts, default, count=None):
    """Filter, sort and page by the query string; returns the context its template needs.

    `count` is the number of rows where the caller knows it already. An unknown page is the nearest one.
    """
    keys, sort = arranged(filterset, sorts, request.GET.get("sort", default), default)
    # Keys are sorted first and whole rows fetched for one page only: sorting wide joined rows costs much more.
    paginator = Paginator(keys, PAGE_SIZE)
    if count is not None:
        paginator.count = count
    page = paginator.get_page(request.GET.get("page"))
    found = filterset.queryset.in_bulk(page.object_list)
    page.object_list = [found[key] for key in page.object_list if key in found]  # one may have gone in between
    return {"page_obj": page, "filterset": filterset, "sort": sort}


def _order(field, descending):
    """`field`, "-field", an expression or, written "field?", a field that may be empty, as expressions may.

    What is empty comes last either way. Only where it must: no index serves NULLS LAST on SQLite.
    """
    if not isinstance(field, str) or field.endswith("?"):
        column = F(field.removesuffix("?")) if isinstance(field, str) else field
        return column.desc(nulls_last=True) if descending else column.asc(nulls_last=True)
    if field.startswith("-"):
        field, descending = field.removeprefix("-"), not descending
    return f"-{field}" if descending else field
