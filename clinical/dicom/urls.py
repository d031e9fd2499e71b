from django.urls import path

from clinical.dicom import sender_views, views

app_name = "dicom"
urlpatterns = [
    path("members/dicom/", sender_views.senders, name="senders"),
    path("members/dicom/<int:pk>/edit/", sender_views.edit, name="edit_sender"),
    path("members/dicom/<int:pk>/remove/", sender_views.remove, name="remove_sender"),
    path("arrivals/", views.arrival_list, name="arrivals"),
    path("arrivals/<uuid:pk>/", views.arrival, name="arrival"),
    path("arrivals/<uuid:pk>/picture/", views.picture, name="picture"),
    path("arrivals/<uuid:pk>/register/", views.register, name="register"),
    path("arrivals/<uuid:pk>/discard/", views.discard, name="discard"),
    path("arrivals/<uuid:pk>/restore/", views.restore, name="restore"),
]
