import base64

import cv2
import numpy as np

from fl_jax.report import pictures


def test_windows_by_hand():
    grey = pictures.windowed(np.array([[0, 40, 80, -150, 230]], np.int16))
    assert grey.shape == (1, 15)
    assert grey[0, :5].tolist() == [0, 128, 255, 0, 255]  # brain: 0 to 80 HU
    assert grey[0, 5:10].tolist() == [26, 76, 128, 0, 255]  # subdural: -20 to 180 HU
    assert grey[0, 10:].tolist() == [101, 128, 154, 0, 255]  # soft tissue: -150 to 230 HU


def test_png_is_lossless_and_the_data_uri_holds_it():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    kind, text = pictures.data_uri(pictures.png(grey)).split(",")
    assert kind == "data:image/png;base64"
    image = np.frombuffer(base64.b64decode(text), np.uint8)
    np.testing.assert_array_equal(cv2.imdecode(image, cv2.IMREAD_GRAYSCALE), grey)


def test_a_case_at_the_end_of_its_series_has_no_neighbour_there():
    middle, above = np.zeros((2, 2), np.int16), np.full((2, 2), 40, np.int16)
    shown = pictures.case_pictures(np.stack([middle, middle, above]))
    assert shown["below"] is None
    assert shown["above"] == pictures.png(pictures.windowed(above))
