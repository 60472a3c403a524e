"""Data sets in their makers' layout, written from rendered faces: what is
written is known, and read back in the tests.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from duchenne.errors import InputError
from duchenne.faces.images import decoding

CLASSES = {
    "anger": 45,
    "contempt": 18,
    "disgust": 59,
    "fear": 25,
    "happiness": 69,
    "sadness": 28,
    "surprise": 83,
}
"""Labelled sequences of CK+ by expression."""

EXPRESSIONS = ("neutral", *CLASSES)
SUBJECTS, LABELLED_SUBJECTS, SEQUENCES = 123, 118, 593


def picture(path: Path, pixels: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def face(path: Path, value: int = 128, size: tuple[int, int] = (12, 12)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full(size, value, np.uint8))


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def ckplus_sequences() -> list[tuple[str, str, str | None]]:
    """Subject, sequence and expression of each sequence, with the published
    counts.
    """
    subjects = [f"S{5 + number:03d}" for number in range(SUBJECTS)]
    labels = [name for name, count in CLASSES.items() for _ in range(count)]
    taken = dict.fromkeys(subjects, 0)
    found: list[tuple[str, str, str | None]] = []

    def add(subject: str, expression: str | None) -> None:
        taken[subject] += 1
        found.append((subject, f"{taken[subject]:03d}", expression))

    for place, expression in enumerate(labels):
        add(subjects[place % LABELLED_SUBJECTS], expression)
    for place in range(SEQUENCES - len(labels)):
        add(subjects[-1 - place % SUBJECTS], None)
    return found


def ckplus(root: Path, faces: NDArray[np.uint8], frames: int = 5) -> dict[str, str | None]:
    """Write a full-size CK+ with small pictures; gives the expression of each
    sequence.

    Quirks: wrapped archives, ``.DS_Store`` among the frames, empty label
    folders, some frames in colour.
    """
    decoding = root / "extended-cohn-kanade-images" / "cohn-kanade-images"
    emotions, codes, points = (
        root / f"{name}_labels" / name for name in ("Emotion", "FACS", "Landmarks")
    )
    written = {}
    for number, (subject, sequence, expression) in enumerate(ckplus_sequences()):
        place, stem = Path(subject) / sequence, f"{subject}_{sequence}"
        for frame in range(1, frames + 1):
            face = faces[(number + frame) % len(faces)].copy()
            # no two pictures are the same
            face[0, :2] = divmod(number * frames + frame, 256)
            colour = cv2.cvtColor(face, cv2.COLOR_GRAY2BGR) if number == 7 else face
            picture(decoding / place / f"{stem}_{frame:08d}.png", colour)
            write(
                points / place / f"{stem}_{frame:08d}_landmarks.txt",
                "   1.5000000e+00   2.2500000e+00\n" * 68,
            )
        (decoding / place / ".DS_Store").write_bytes(b"\0\1")
        (emotions / place).mkdir(parents=True)
        if expression:
            write(
                emotions / place / f"{stem}_{frames:08d}_emotion.txt",
                f"   {EXPRESSIONS.index(expression)}.0000000e+00\n",
            )
        lines = (
            "   1.0000000e+00   0.0000000e+00\n   1.2000000e+01   3.0000000e+00\n"
            if number % 2
            else "   4.0000000e+00   5.0000000e+00\n"
        )
        write(codes / place / f"{stem}_{frames:08d}_facs.txt", lines)
        written[f"{subject}_{sequence}"] = expression
    return written


# the other formats: each writes a clean tree and gives the rows that must be
# read from it

Rows = list[dict[str, object]]
_CODES = {
    "anger": "AN",
    "disgust": "DI",
    "fear": "FE",
    "happiness": "HA",
    "neutral": "NE",
    "sadness": "SA",
    "surprise": "SU",
}


def jaffe(root: Path, faces: NDArray[np.uint8]) -> Rows:
    """Flat and in sub-folders, ``.tif`` and ``.tiff``, ``Thumbs.db`` beside
    them.
    """
    rows: Rows = []
    for number, subject in enumerate(("KA", "YM")):
        for take, (expression, code) in enumerate(_CODES.items()):
            suffix = "tif" if take % 2 else "tiff"
            inside = "jaffe/" if number else ""
            name = f"{subject}.{code}{1 + take % 3}.{number * 20 + take}.{suffix}"
            path = inside + name
            picture(root / path, faces[len(rows)])
            rows.append({"path": path, "subject": subject, "expression": expression})
    (root / "Thumbs.db").write_bytes(b"\0")
    write(root / "README.txt", "from the makers")
    return rows


def kdef(root: Path, faces: NDArray[np.uint8]) -> Rows:
    """A folder a person and session, five angles, colour."""
    rows: Rows = []
    for session, subject, expression, view in (
        ("A", "F01", "fear", "S"),
        ("A", "F01", "anger", "FL"),
        ("B", "M35", "surprise", "HR"),
        ("B", "M35", "neutral", "S"),
    ):
        code = "AF" if expression == "fear" else _CODES[expression]
        path = f"{session}{subject}/{session}{subject}{code}{view}.JPG"
        picture(root / path, cv2.cvtColor(faces[len(rows)], cv2.COLOR_GRAY2BGR))
        rows.append({"path": path, "subject": subject, "expression": expression, "view": view})
    return rows


def rafdb(root: Path, faces: NDArray[np.uint8]) -> Rows:
    names = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
    rows: Rows = []
    lines = []
    for number, expression in enumerate(names, start=1):
        split = "test" if number > 5 else "train"
        path = f"Image/aligned/{split}_{number:05d}_aligned.jpg"
        picture(root / path, faces[number])
        lines.append(f"{split}_{number:05d}.jpg {number}\n")
        rows.append(
            {
                "path": path,
                "subject": f"{split}_{number:05d}",
                "expression": expression,
                "split": split,
            }
        )
    write(root / "EmoLabel" / "list_patition_label.txt", "".join(lines))
    return rows


_FER = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
_USAGES = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}


def fer2013(root: Path, faces: NDArray[np.uint8]) -> Rows:
    rows: Rows = []
    lines = ["emotion,pixels,Usage\n"]
    for number in range(9):
        usage = tuple(_USAGES)[number % 3]
        pixels = " ".join(map(str, cv2.resize(faces[number], (48, 48)).ravel()))
        lines.append(f"{number % 7},{pixels},{usage}\n")
        path = f"fer2013.csv#{number}"
        rows.append(
            {"path": path, "subject": path, "expression": _FER[number % 7], "split": _USAGES[usage]}
        )
    write(root / "fer2013.csv", "".join(lines))
    return rows


def ferplus(root: Path, faces: NDArray[np.uint8]) -> Rows:
    """Ten votes a picture; the third is blank (removed), the fourth a tie, the
    fifth unknown.
    """
    rows = fer2013(root, faces)
    names = (
        "neutral",
        "happiness",
        "surprise",
        "sadness",
        "anger",
        "disgust",
        "fear",
        "contempt",
        "unknown",
        "NF",
    )
    lines = ["Usage,Image name," + ",".join(names) + "\n"]
    for number, row in enumerate(rows):
        votes = dict.fromkeys(names, 0)
        first, second = (
            ("unknown", "NF") if number == 4 else (names[number % 8], names[(number + 1) % 8])
        )
        votes[first], votes[second] = (5, 5) if number == 3 else (7, 3)
        row["expression"] = None if number in (3, 4) else first
        row |= {f"votes_{name.lower()}": count / 10 for name, count in votes.items()}
        usage = tuple(_USAGES)[number % 3]
        lines.append(
            f"{usage},{'' if number == 2 else f'fer{number:07d}.png'},"
            + ",".join(map(str, votes.values()))
            + "\n"
        )
    write(root / "fer2013new.csv", "".join(lines))
    return [row for number, row in enumerate(rows) if number != 2]


_AFFECT = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")


def affectnet(root: Path, faces: NDArray[np.uint8]) -> Rows:
    """Lists beside the pictures; codes 8 to 10 are no expression, valence −2
    is none.
    """
    header = (
        "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,"
        "expression,valence,arousal\n"
    )
    lists = {"training": [header], "validation": [header]}
    rows: Rows = []
    for code in range(11):
        name = "validation" if code > 8 else "training"
        path = f"{100 + code}/{code}.jpg"
        picture(root / "Manually_Annotated_Images" / path, faces[code])
        points, valence = ";".join(["3;4"] * 68), -2 if code > 7 else 0.5
        lists[name].append(f"{path},2,3,20,18,{points},{code},{valence},{valence}\n")
        expression, shown = (_AFFECT[code], 0.5) if code < 8 else (None, None)
        row = {
            "path": f"Manually_Annotated_Images/{path}",
            "expression": expression,
            "valence": shown,
            "arousal": shown,
        }
        box = {"left": 2.0, "top": 3.0, "right": 22.0, "bottom": 21.0}
        rows.append(
            row | box | {"split": "validation" if code > 8 else "train", "landmarks": points}
        )
    for name, lines in lists.items():
        write(root / f"{name}.csv", "".join(lines))
    return [row | {"subject": row["path"]} for row in rows]


def affectnet_folders(root: Path, faces: NDArray[np.uint8]) -> Rows:
    """The later layout: one small NumPy file a picture, the code written as a
    number or as text.
    """
    rows: Rows = []
    for code in range(9):
        folder, split = ("val_set", "validation") if code > 6 else ("train_set", "train")
        picture(root / folder / "images" / f"{code}.jpg", faces[code])
        (root / folder / "annotations").mkdir(parents=True, exist_ok=True)
        np.save(
            root / folder / "annotations" / f"{code}_exp.npy",
            np.array(str(code) if code % 2 else code),
        )
        path = f"{folder}/images/{code}.jpg"
        rows.append(
            {
                "path": path,
                "subject": path,
                "expression": _AFFECT[code] if code < 8 else None,
                "split": split,
            }
        )
    return rows


def disfa(root: Path, faces: NDArray[np.uint8]) -> Rows:
    rows: Rows = []
    for subject in ("SN001", "SN032"):
        for frame in range(1, 4):
            path = f"Frames/{subject}/{frame:05d}.png"
            picture(root / path, faces[len(rows)])
            grades = {"AU01": float(frame - 1), "AU12": float(5 if frame == 2 else 0)}
            coded = {code: grade > 0 for code, grade in grades.items()}
            row = {
                "path": path,
                "subject": subject,
                "sequence": subject,
                "frame": frame,
                "expression": None,
            }
            rows.append(
                row | coded | {f"{code}_intensity": grade for code, grade in grades.items()}
            )
        for number, values in ((1, (0, 1, 2)), (12, (0, 5, 0))):
            lines = "".join(f"{frame},{value}\n" for frame, value in enumerate(values, start=1))
            write(root / "ActionUnit_Labels" / subject / f"{subject}_au{number}.txt", lines)
    return rows


def disfaplus(root: Path, faces: NDArray[np.uint8]) -> Rows:
    """Trials below subjects; each label file opens with a line of names and
    names pictures.
    """
    rows: Rows = []
    for trial in ("A1_AU1_TrailNo_1", "Y_Angry_TrailNo_1"):
        for frame in range(2):
            path = f"Images/SN001/{trial}/{frame:03d}.jpg"
            picture(root / path, faces[len(rows)])
            row = {
                "path": path,
                "subject": "SN001",
                "sequence": f"SN001_{trial}",
                "frame": frame,
                "expression": None,
            }
            rows.append(row | {"AU04": frame > 0, "AU04_intensity": float(3 * frame)})
        write(
            root / "Labels" / "SN001" / trial / "AU4.txt", "Frame Intensity\n000.jpg 0\n001.jpg 3\n"
        )
    return rows


def bp4d(root: Path, faces: NDArray[np.uint8]) -> Rows:
    """9 is not coded; intensities for some action units."""
    rows: Rows = []
    for subject, task in (("F001", "T1"), ("M002", "T8")):
        for frame, (first, second) in enumerate(((0, 1), (1, 9), (9, 0)), start=20):
            path = f"2D+3D/{subject}/{task}/{frame:04d}.jpg"
            picture(root / path, faces[len(rows)])
            means = {0: False, 1: True, 9: None}
            row = {
                "path": path,
                "subject": subject,
                "sequence": f"{subject}_{task}",
                "frame": frame,
                "expression": None,
            }
            grade = {20: 0.0, 21: 4.0, 22: None}[frame]
            rows.append(
                row | {"AU06": means[first], "AU12": means[second], "AU06_intensity": grade}
            )
        write(
            root / "AUCoding" / "AU_OCC" / f"{subject}_{task}.csv",
            "0,6,12\n20,0,1\n21,1,9\n22,9,0\n",
        )
        write(
            root / "AUCoding" / "AU_INT" / "AU06" / f"{subject}_{task}_AU06.csv",
            "20,0\n21,4\n22,9\n",
        )
    return rows


def tfd(root: Path, faces: NDArray[np.uint8]) -> Rows:
    """Pictures counted by the last axis; unlabelled ones at the end."""
    from scipy.io import savemat

    labels = np.array([*range(1, 8), -1, -1])
    people = np.array([*range(7), -1, -1])
    folds = np.array(
        [[1 + (row + column) % 3 if row < 7 else 0 for column in range(5)] for row in range(9)]
    )
    root.mkdir(parents=True, exist_ok=True)
    images = np.stack([cv2.resize(face, (48, 48)) for face in faces[:9]]).transpose(1, 2, 0)
    held = {
        "images": images,
        "labs_ex": labels[:, None],
        "labs_id": people[:, None],
        "folds": folds,
    }
    savemat(root / "TFD_48x48.mat", held)
    sides = {0: None, 1: "train", 2: "validation", 3: "test"}
    names = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
    rows: Rows = []
    for row in range(9):
        path = f"TFD_48x48.mat#{row}"
        splits = {f"split_{column + 1}": sides[int(folds[row, column])] for column in range(5)}
        subject, expression = (f"p{row}", names[row]) if row < 7 else (path, None)
        rows.append({"path": path, "subject": subject, "expression": expression} | splits)
    return rows


TREES = {
    "jaffe": jaffe,
    "kdef": kdef,
    "rafdb": rafdb,
    "fer2013": fer2013,
    "ferplus": ferplus,
    "affectnet": affectnet,
    "affectnet-folders": affectnet_folders,
    "disfa": disfa,
    "disfaplus": disfaplus,
    "bp4d": bp4d,
    "tfd": tfd,
}
"""Every small tree by the name of its format, a variant behind a dash."""


def fault(path: Path) -> str | None:
    """Say what is wrong with a picture, or None."""
    try:
        decoding.read(path)
    except InputError as error:
        return str(error)
    return None
