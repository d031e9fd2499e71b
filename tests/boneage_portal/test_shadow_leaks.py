"""What a candidate reads in the shadow is on no page, in no file and in no list of anybody but platform staff."""

import uuid

import pytest
from django.urls import NoReverseMatch, URLResolver, get_resolver, reverse

from clinical.studies.models import Study
from inference.models import Analysis, ModelVersion, ShadowAnalysis

pytestmark = pytest.mark.usefixtures("unscoped")
PEOPLE = ("alice", "tess", "ada", "mother", "anonymous")
MONTHS = 77.3125
LOOKED_FOR = ("shadowy-candidate", str(MONTHS), "77.3", "6 y 5 m", "6 years 5 months")


@pytest.fixture
def shadow(report):
    """A released study as it may be, and a shadow beside its analysis."""
    active = ModelVersion.objects.create(name="active-model", version="1", sha256="1" * 64, state="active")
    candidate = ModelVersion.objects.create(name="shadowy-candidate", version="2", sha256="2" * 64, shadows=True)
    Study.objects.update(state="released")
    Analysis.objects.update(
        state="analysed", model_version=active, bone_age_months=120.0, low_months=110.0, high_months=130.0
    )
    return ShadowAnalysis.objects.create(
        hospital=report.hospital,
        analysis=Analysis.objects.get(),
        model_version=candidate,
        sex="F",
        state="analysed",
        bone_age_months=MONTHS,
        low_months=MONTHS,
        high_months=MONTHS,
    )


def names_of(patterns, namespace=""):
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
            yield from names_of(pattern.url_patterns, inner)
        elif pattern.name:
            yield f"{namespace}{pattern.name}"


def paths(keys):
    """Every path of the portal that takes no key, or one of `keys`."""
    for name in set(names_of(get_resolver().url_patterns)):
        for given in [{}, *({field: key} for field in ("pk", "object_id") for key in keys), {"name": "studies"}]:
            try:
                yield reverse(name, kwargs=given)
            except NoReverseMatch:
                continue


@pytest.mark.parametrize("person", PEOPLE)
def test_no_page_and_no_file_tells_of_a_shadow(request, as_user, shadow, report, person):
    keys = [report.study_id, report.study.patient_id, report.pk, shadow.analysis_id, shadow.pk, uuid.uuid4()]
    client = as_user(None if person == "anonymous" else request.getfixturevalue(person))
    found = 0
    for path in sorted(set(paths(keys))):
        response = client.get(path)
        if response.status_code != 200:
            continue
        found += 1
        content = response.getvalue().decode(errors="replace")
        assert [word for word in (*LOOKED_FOR, str(shadow.pk)) if word in content] == [], path
    assert ("_auth_user_id" in client.session) == (person != "anonymous")  # all the way
    assert found > (5 if person == "anonymous" else 15)


def test_the_sweep_would_find_it(request, as_user, shadow):
    from tests.factories import UserFactory

    root = UserFactory(is_staff=True, is_superuser=True)
    content = as_user(root).get("/admin/inference/shadowanalysis/").content.decode()
    assert "shadowy-candidate" in content
    assert "6 y 5 m (77 m)" in content
