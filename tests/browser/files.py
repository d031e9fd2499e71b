"""Radiographs drawn for the browser, and a hand that drops them on a page."""

import base64
import re

import cv2

from inference.training.phantom import draw_phantom

DROP = """
([zone, files]) => {
    const transfer = new DataTransfer();
    for (const [name, content] of files) {
        const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
        transfer.items.add(new File([bytes], name, {type: "image/png"}));
    }
    for (const kind of ["dragenter", "dragover", "drop"]) {
        zone.dispatchEvent(new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true}));
    }
}
"""


def phantom(seed):
    return cv2.imencode(".png", draw_phantom(118, "F", seed=seed, size=900))[1].tobytes()


def drop(page, *files):
    encoded = [[name, base64.b64encode(content).decode()] for name, content in files]
    page.evaluate(DROP, [page.locator("[data-drop-zone]").element_handle(), encoded])
    page.get_by_role("button", name=re.compile("^Upload")).click()
