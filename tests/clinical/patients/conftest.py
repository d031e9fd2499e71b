from datetime import date

import pytest

from tests.factories import ReviewFactory


@pytest.fixture
def released():
    """A study of a child that is released: `released(patient, bone_age=126.0, ...)`."""

    def create(patient, bone_age=120.0, acquired_on=date(2024, 5, 1), **fields):
        review = ReviewFactory(
            study__patient=patient,
            study__state="released",
            study__acquired_on=acquired_on,
            bone_age_months=bone_age,
            **fields,
        )
        return review.study

    return create


@pytest.fixture
def edited():
    """`edited(client, patient, sex="M")`: the answer to changing these values in the patient's own form."""

    def edit(client, patient, **change):
        path = f"/patients/{patient.pk}/edit/"
        form = client.get(path).context["form"]
        return client.post(path, {name: form[name].value() or "" for name in form.fields} | change)

    return edit
