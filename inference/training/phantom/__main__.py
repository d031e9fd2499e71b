"""Draw one phantom into an image file."""

import argparse
from pathlib import Path

import cv2

from inference.training.phantom import draw_phantom


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw a radiograph of a child's hand. It shows no patient.")
    parser.add_argument("out", type=Path, help="image to write")
    parser.add_argument("--age-months", type=float, required=True, help="bone age, 3 to 228")
    parser.add_argument("--sex", choices=["M", "F"], required=True)
    parser.add_argument("--seed", type=int, default=0, help="pose, exposure, marker, noise")
    parser.add_argument("--subject", type=int, help="the child; by default drawn from the seed")
    parser.add_argument("--size", type=int, default=1024, help="height in pixels")
    options = parser.parse_args()
    try:
        image = draw_phantom(options.age_months, options.sex, options.seed, options.size, options.subject)
    except ValueError as error:
        parser.error(str(error))
    if not cv2.imwrite(str(options.out), image):
        parser.error(f"cannot write {options.out}")


if __name__ == "__main__":
    main()
