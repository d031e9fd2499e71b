"""Every list of the portal pages, sorts and filters alike."""

from django.core.paginator import Paginator
from django.db.models import F

PAGE_SIZE = 25


def listing(request, filterset_class, queryset, sorts, default):
    """Filter, sort and page `queryset` by the query string; returns the context its template needs.

    sorts: name -> tuple of fields; `?sort=name` or `?sort=-name`. What is not understood falls back to the
    default order and to the nearest page.
    """
    filterset = filterset_class(request.GET, queryset=queryset)
    rows = filterset.qs if filterset.is_valid() else queryset.none()
    sort = request.GET.get("sort", default)
    if sort.removeprefix("-") not in sorts:
        sort = default
    order = [_order(field, descending=sort.startswith("-")) for field in sorts[sort.removeprefix("-")]]
    # Keys are sorted first and whole rows fetched for one page only: sorting wide joined rows costs much more.
    page = Paginator(rows.order_by(*order).values_list("pk", flat=True), PAGE_SIZE).get_page(request.GET.get("page"))
    found = queryset.in_bulk(page.object_list)
    page.object_list = [found[key] for key in page.object_list]
    return {"page_obj": page, "filterset": filterset, "sort": sort, "total": page.paginator.count}


def _order(field, descending):
    """`field` or, written "field?", one that may be empty: what is empty comes last either way.

    Only where it must: no index serves NULLS LAST on SQLite.
    """
    if field.endswith("?"):
        column = F(field.removesuffix("?"))
        return column.desc(nulls_last=True) if descending else column.asc(nulls_last=True)
    return f"-{field}" if descending else field
