from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from duchenne.errors import InputError
from duchenne.evidence import (
    association,
    detection,
    detections,
    divergence,
    exchangeability,
    match,
    matching,
    nulls,
    significance,
    strongest,
)
from duchenne.evidence.exchangeability import Arrangements, Exchangeability
from duchenne.evidence.labelled import beside_null
from duchenne.experiments.validate import validities
from duchenne.recipes import Evidence


def labelled(
    seed: int, pictures: int = 200, units: int = 6, labels: int = 4
) -> tuple[np.ndarray, ...]:
    """Activations with ties and zeros, presence, and which labels were coded."""
    rng = np.random.default_rng(seed)
    activations = np.maximum(rng.normal(0.3, 1, (pictures, units)), 0).round(1)
    present, coded = (rng.random((pictures, labels)) < 0.25, rng.random((pictures, labels)) < 0.8)
    return activations, present, coded


def correlated(
    seed: int, people: int = 12, takes: int = 4, frames: int = 4
) -> tuple[np.ndarray, ...]:
    """People, sequences, a label per sequence, and units that follow the
    sequence but not the label.
    """
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), takes * frames).astype(str)
    sequence = np.repeat(np.arange(people * takes), frames).astype(str)
    label = np.repeat(rng.random((people * takes, 3)) < 0.3, frames, 0)
    own, of_take = (rng.normal(size=(people, 8)), rng.normal(size=(people * takes, 8)))
    noise = 0.3 * rng.normal(size=(len(person), 8))
    units = np.repeat(own, takes * frames, 0) + np.repeat(of_take, frames, 0) + noise
    return person, sequence, label, units - units.min()


# scores against independent references


def test_divergence_is_scipys_entropy() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        q, r = (rng.integers(0, 9, 16).astype(float), rng.integers(1, 9, 16).astype(float))
        smoothed = (q / q.sum() + 1e-6, r / r.sum() + 1e-6)
        expected = (smoothed[0] * np.log(smoothed[0] / smoothed[1])).sum()
        assert float(divergence.divergence(q, r)) == pytest.approx(expected, abs=1e-12)
        assert float(divergence.divergence(q, r, 0.0)) == pytest.approx(
            stats.entropy(q, r), abs=1e-12
        )


def test_kl_equals_a_loop_over_histograms() -> None:
    activations, present, coded = labelled(1)
    found = divergence.histograms(activations, present, coded, 8).kl(1e-6)
    for unit, label in np.ndindex(*found.shape):
        rows = coded[:, label]
        edges = (0.0, activations[:, unit].max())
        q, r = (
            np.histogram(activations[rows & (present[:, label] == side), unit], 8, edges)[0].astype(
                float
            )
            for side in (True, False)
        )
        assert found[unit, label] == pytest.approx(float(divergence.divergence(q, r)), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_scikit_learns_and_numpys_with_ties_and_uncoded_pictures(seed: int) -> None:
    activations, present, coded = labelled(seed)
    r = association.correlation(activations, present, coded)
    ap = association.average_precision(activations, present, coded)
    roc = association.auroc(activations, present, coded)
    for unit, label in np.ndindex(*r.shape):
        rows = coded[:, label]
        value, shown = activations[rows, unit], present[rows, label]
        assert r[unit, label] == pytest.approx(
            stats.pointbiserialr(shown, value).statistic, abs=1e-9
        )
        assert ap[unit, label] == pytest.approx(average_precision_score(shown, value), abs=1e-9)
        assert roc[unit, label] == pytest.approx(roc_auc_score(shown, value), abs=1e-9)


def test_a_silent_unit_has_no_correlation_and_no_divergence() -> None:
    _, present, coded = labelled(0)
    silent = np.zeros((200, 1))
    assert (association.correlation(silent, present, coded) == 0).all()
    np.testing.assert_allclose(
        divergence.histograms(silent, present, coded, 8).kl(1e-6), 0, atol=1e-9
    )
    np.testing.assert_allclose(association.auroc(silent, present, coded), 0.5)


def test_labels_that_were_not_coded_are_left_out_and_never_taken_for_absent() -> None:
    activations, present, _ = labelled(2)
    coded = np.ones_like(present)
    coded[150:] = False
    for score in (association.correlation, association.average_precision, association.auroc):
        np.testing.assert_allclose(
            score(activations, present, coded),
            score(activations[:150], present[:150], coded[:150]),
            atol=1e-12,
        )


@pytest.mark.parametrize(
    ("kind", "listed"),
    [("normal", (1.51, 0.75, 0.29, 0.12)), ("uniform", (1.97, 1.05, 0.38, 0.12))],
)
def test_raw_divergence_is_biased_by_rarity_as_stated(kind: str, listed: tuple[float, ...]) -> None:
    """Both sides are drawn from one distribution: 3000 pictures, 64 bins over
    their range, ε 1e-6.
    """
    rng = np.random.default_rng(0)
    for positives, expected in zip((10, 30, 100, 300), listed, strict=True):
        values = getattr(rng, kind)(size=(3000, 120))
        present = np.zeros((3000, 1), bool)
        present[:positives] = True
        found = divergence.histograms(
            values - values.min(0), present, np.ones_like(present), 64
        ).kl(1e-6)
        assert found.mean() == pytest.approx(expected, rel=0.1)


@pytest.mark.slow
def test_the_calibrated_divergence_is_not_biased_by_rarity() -> None:
    """The same samples: z against permuted labels has a mean of 0 ± 0.05 from
    10 to 300 positives.
    """
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3000, 1500))
    values -= values.min(0)
    present = np.arange(3000)[:, None] < [10, 30, 100, 300]
    permuted = [rng.permutation(3000) for _ in range(20)]
    kl, null, z = beside_null(
        lambda shown, coded: divergence.histograms(values, shown, coded, 64).kl(1e-6),
        present,
        np.ones_like(present),
        permuted,
    )
    assert (np.abs(z.mean(0)) < 0.05).all()
    assert kl.mean(0) == pytest.approx(null.mean(0), rel=0.02)


def test_divergence_depends_on_bins_and_smoothing() -> None:
    activations, present, coded = labelled(3)
    means = [
        divergence.histograms(activations, present, coded, bins).kl(1e-6).mean()
        for bins in (8, 16, 64)
    ]
    assert means == sorted(means)
    assert divergence.histograms(activations, present, coded, 64).kl(1e-2).mean() < means[-1]


# permutations


def test_labels_move_in_whole_sequences_within_the_person() -> None:
    person, sequence, *_ = correlated(0)
    for source in Arrangements(Exchangeability.of(person, sequence), 20):
        assert (person[source] == person).all()
        moved = pd.Series(sequence[source]).groupby(sequence).nunique()
        assert (moved == 1).all()
        assert sorted(source) == list(range(len(source)))


def test_people_with_one_sequence_exchange_labels_with_each_other() -> None:
    person = np.repeat(np.arange(30), 3).astype(str)
    source = next(iter(Arrangements(Exchangeability.of(person, person), 1)))
    assert (person[source] != person).mean() > 0.7
    assert (source % 3 == np.arange(90) % 3).all()


def test_p_values_equal_a_loop_over_the_arrangements(monkeypatch: pytest.MonkeyPatch) -> None:
    person, sequence, label, units = correlated(1)
    coded = np.random.default_rng(0).random(label.shape) < 0.9
    arrangements = Arrangements(Exchangeability.of(person, sequence), 49)
    monkeypatch.setattr(exchangeability, "_AT_ONCE", 5 * label.size)
    found = significance.against(units, label, coded, arrangements, level=0.2)
    every = np.array(
        [
            _correlation_loop(units, label[s], coded[s])
            for s in (np.arange(len(label)), *arrangements)
        ]
    )
    z = np.abs((every - every.mean(0)) / every.std(0))
    np.testing.assert_allclose(found.centre, every.mean(0), atol=1e-12)
    for unit, kind in np.ndindex(8, 3):
        assert found.alone[unit, kind] == pytest.approx(
            (z[:, unit, kind] >= z[0, unit, kind]).mean()
        )
        assert found.family[unit, kind] == pytest.approx((z.max((1, 2)) >= z[0, unit, kind]).mean())
    threshold = np.sort(z.max((1, 2)))[-10]
    signed = (every - every.mean(0)) / every.std(0)
    # a detection answers more, so does what permuted labels would have found
    above = np.where(every > 0, signed, 0)[1:]
    assert found.null_units.tolist() == (above.max(2) >= threshold).sum(1).tolist()


def _correlation_loop(units: np.ndarray, label: np.ndarray, coded: np.ndarray) -> np.ndarray:
    return np.array(
        [
            [
                np.corrcoef(units[rows, unit], label[rows, kind])[0, 1]
                for kind, rows in enumerate(coded.T)
            ]
            for unit in range(units.shape[1])
        ]
    )


def test_the_smallest_p_counts_distinct_rearrangements() -> None:
    groups = np.repeat(["a", "b"], 3)
    assert Arrangements(
        Exchangeability.of(groups, np.array(list("uvwxyz"))), 999
    ).smallest_p == pytest.approx(1 / 36)
    assert Arrangements(
        Exchangeability.of(groups, np.array(list("uvwxyz"))), 9
    ).smallest_p == pytest.approx(1 / 10)


def test_no_more_than_five_in_a_hundred_null_studies_declare_a_detection() -> None:
    """Units follow people and sequences, labels are unrelated; permuting
    single frames would cry wolf.
    """
    runs, found, found_by_frames = 100, 0, 0
    for seed in range(runs):
        person, sequence, label, units = correlated(seed)
        for frames in (False, True):
            takes = np.arange(len(sequence)).astype(str) if frames else sequence
            who = np.full(len(person), "all") if frames else person
            sure = significance.against(
                units,
                label,
                np.ones_like(label),
                Arrangements(Exchangeability.of(who, takes), 99, seed),
            )
            if (sure.family <= 0.05).any():
                found, found_by_frames = (found + (not frames), found_by_frames + frames)
    assert found <= stats.binom.ppf(0.99, runs, 0.05)
    assert found_by_frames > 3 * max(found, 5)


# the whole match


def planted(seed: int = 0) -> tuple[np.ndarray, pd.DataFrame, np.ndarray, np.ndarray]:
    person, sequence, label, units = correlated(seed)
    units[:, 2] += 6 * label[:, 1]
    frame = pd.DataFrame(label, columns=["AU01", "AU12", "AU26"]).astype("boolean")
    return units, frame, person, sequence


def test_a_planted_detector_is_found_and_nothing_else() -> None:
    units, labels, person, sequence = planted()
    evidence = match(units, labels, person, sequence, permutations=999)
    assert len(evidence) == 8 * 3
    found = detections(evidence, 0.05)
    assert found[["unit", "au"]].values.tolist() == [[2, "AU12"]]
    assert strongest(evidence).iloc[0][["unit", "au"]].tolist() == [2, "AU12"]
    best = found.iloc[0]
    assert best["kl_z"] > 3
    assert best["ap_lift"] > 1.5
    assert best["q"] <= 0.05
    assert best["n_with"] + best["n_without"] == len(labels)


def test_labels_removed_or_added_at_random_lower_the_deciding_scores() -> None:
    """In 95 % of trials or more: the two checks of Neuron_Eval that few scores
    pass.
    """
    trials, lowered = 200, np.zeros((2, 2))
    for seed in range(trials):
        units, labels, _, _ = planted(seed)
        rng = np.random.default_rng(seed)
        activations, shown = units[:, [2]], labels[["AU12"]].to_numpy(bool)
        coded = np.ones_like(shown)
        changes = (shown & (rng.random(shown.shape) < 0.5), shown | (rng.random(shown.shape) < 0.5))
        for number, changed in enumerate(changes):
            before, after = (_deciding(activations, label, coded) for label in (shown, changed))
            # removing raises the lift over a base rate that falls, adding
            # raises the precision with the base rate
            lowered[number] += (after[0] < before[0], after[1 + number] < before[1 + number])
    assert (lowered >= 0.95 * trials).all(), lowered


def _deciding(
    activations: np.ndarray, label: np.ndarray, coded: np.ndarray
) -> tuple[float, float, float]:
    """r, average precision and its lift."""
    precision = association.average_precision(activations, label, coded)[0, 0]
    return (
        association.correlation(activations, label, coded)[0, 0],
        precision,
        precision / label.mean(),
    )


def test_rare_labels_are_left_out_and_none_at_all_is_refused() -> None:
    units, labels, person, sequence = planted()
    labels["AU26"] = False
    labels.loc[:3, "AU26"] = True
    assert set(match(units, labels, person, sequence, permutations=19)["au"]) == {"AU01", "AU12"}
    with pytest.raises(InputError, match="no action unit has 10"):
        match(units, labels[["AU26"]], person, sequence, permutations=19)


def test_a_study_sets_trained_units_beside_their_untrained_and_permuted_labels() -> None:
    units, labels, person, sequence = planted()
    faces = labels.assign(
        path=[str(i) for i in range(len(labels))], subject=person, sequence=sequence
    )
    faces["expression"] = np.where(labels["AU12"], "happiness", "anger")
    faces["frame"] = pd.NA
    untrained = np.random.default_rng(1).normal(5, 1, units.shape)
    found = nulls.beside_nulls(units, [untrained], faces, Evidence(permutations=99))
    assert found.summary["trained"]["units"] == 1
    assert found.summary["untrained"]["units"] == 0
    assert found.summary["permuted_labels"]["units"] < 0.5
    assert found.summary["permuted_labels"]["share_of_runs"] <= 0.06
    assert found.expressions.loc[found.expressions["r"].idxmax(), "expression"] == "happiness"


def test_a_study_without_action_units_matches_expressions_and_says_so() -> None:
    units, labels, person, sequence = planted()
    faces = pd.DataFrame(
        {"path": [str(i) for i in range(len(labels))], "subject": person, "sequence": sequence}
    )
    faces["expression"] = np.where(labels["AU12"], "happiness", "neutral")
    found = nulls.beside_nulls(units, [units], faces, Evidence(permutations=99))
    assert found.evidence is None
    assert "trained" not in found.summary
    assert found.summary["action_units"] == []


def test_a_unit_that_answers_to_any_movement_but_less_to_this_one_is_no_detector() -> None:
    """Neutral frames never carry the action unit, so r lies above 0 under
    permuted labels too.
    """
    rng = np.random.default_rng(0)
    person, sequence = (
        np.repeat(np.arange(20), 16).astype(str),
        np.repeat(np.arange(80), 4).astype(str),
    )
    moving = np.tile([False, True, True, True], 80)
    shown = np.repeat(np.arange(80) % 4 == 0, 4) & moving
    answer = np.where(moving, np.where(shown, 0.8, 1.0), 0.0) + rng.normal(0.1, 0.02, 320)
    frame = match(
        answer[:, None],
        pd.DataFrame({"AU12": shown}).astype("boolean"),
        person,
        sequence,
        permutations=199,
    )
    assert frame["r"][0] > 0.05
    assert frame["p"][0] <= 0.05
    assert frame["r"][0] < frame["r_null"][0]
    assert detections(frame, 0.05).empty


def test_scores_without_significance_are_those_beside_it() -> None:
    units, labels, person, sequence = planted()
    strata = np.where(np.arange(len(units)) % 2 == 0, "anger", "fear")
    settings = {"permutations": 7, "score_permutations": 7, "seed": 3, "strata": strata}
    whole = matching.compare(units, labels, person, sequence, **settings).frame
    del settings["permutations"]
    alone = matching.scored(units, labels, person, sequence, **settings)
    assert set(whole) - set(alone) == {
        "r_low",
        "r_high",
        "r_null",
        "p_uncorrected",
        "p",
        "q",
        "p_within",
        "q_within",
    }
    pd.testing.assert_frame_equal(whole[list(alone)], alone)


def test_correlations_without_other_scores_are_those_beside_them() -> None:
    units, labels, person, sequence = planted()
    settings = {"permutations": 49, "seed": 3}
    whole = matching.compare(units, labels, person, sequence, **settings).frame
    alone = matching.correlated(units, labels, person, sequence, **settings)
    assert {"r", "r_null", "p", "q"} <= set(alone)
    pd.testing.assert_frame_equal(whole[list(alone)], alone)


def test_validity_on_all_people_is_that_of_the_evidence() -> None:
    units, labels, person, sequence = planted()
    faces = labels.assign(
        path=[str(i) for i in range(len(labels))], subject=person, sequence=sequence
    )
    faces["expression"] = np.where(labels["AU12"], "happiness", "anger")
    faces["frame"] = pd.NA
    settings = Evidence(permutations=49, score_permutations=5)
    found = nulls.beside_nulls(units, [units], faces, settings, seed=2)
    moved = found.evidence[["unit", "au"]].assign(effect=2 * found.evidence["r"])
    again = validities(units, faces, moved, settings, 2, (0.5, 1.0))
    known = validities(units, faces, moved, settings, 2, (0.5, 1.0), found.evidence)
    assert len(known["people"].unique()) == 2
    pd.testing.assert_frame_equal(again, known)


def test_permuted_labels_declare_a_detector_in_as_many_runs_as_the_level_says() -> None:
    units, labels, person, sequence = planted()
    found = matching.compare(units, labels, person, sequence, permutations=399)
    assert found.null_units.shape == (399,)
    assert (found.null_units > 0).mean() <= 0.05


def test_pictures_without_a_person_or_a_sequence_stand_alone() -> None:
    faces = pd.DataFrame(
        {"path": ["a", "b", "c"], "subject": ["x", pd.NA, pd.NA], "sequence": ["s", "t", pd.NA]}
    )
    person, sequence = nulls.who(faces)
    assert person.tolist() == ["x", "t", "c"]
    assert sequence.tolist() == ["s", "t", "c"]


def test_labels_that_do_not_fit_the_peaks_are_refused() -> None:
    units, labels, person, sequence = planted()
    with pytest.raises(InputError, match="ndarray"):
        match(units, labels.to_numpy(), person, sequence)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="activations 192, labels 10"):
        match(units, labels[:10], person, sequence)


def test_the_best_pair_is_a_detection_wherever_there_is_one() -> None:
    silenced, less_than_its_null, detector = (
        (-0.6, 0.05, 0.001),
        (0.1, 0.35, 0.001),
        (0.3, 0.05, 0.02),
    )
    frame = pd.DataFrame(
        [silenced, less_than_its_null, detector], columns=["r", "r_null", "p"]
    ).assign(unit=range(3))
    assert detection.ranked(frame)["unit"].iloc[0] == 2
    assert detections(frame, 0.05)["unit"].tolist() == [2]


def test_a_label_that_permuting_took_away_diverges_by_nothing() -> None:
    """Sequences of one picture may take the place of a longer one's, so that
    no picture is left with a rare label.
    """
    counts = np.array([[0.0, 2.0, 1.0], [0.0, 1.0, 3.0]])
    found = divergence.divergence(counts, counts[:, ::-1])
    assert found[0] == found[2] == 0
    assert found[1] == pytest.approx(0, abs=1e-12)


def test_within_an_expression_what_only_comes_with_it_is_not_found() -> None:
    """AU12 on most happy faces only: one unit answers to happiness, another to
    AU12.
    """
    person, sequence = (
        np.repeat(np.arange(60), 8).astype(str),
        np.repeat(np.arange(120), 4).astype(str),
    )
    expression = np.where(np.repeat(np.arange(120) % 2 == 0, 4), "happiness", "anger")
    wrongly = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        shown = (expression == "happiness") & np.repeat(rng.random(120) < 0.6, 4)
        units = np.stack([expression == "happiness", shown], 1) + rng.normal(1, 0.2, (480, 2))
        labels = pd.DataFrame({"AU12": shown}).astype("boolean")
        frame = match(
            units,
            labels,
            person,
            sequence,
            permutations=99,
            score_permutations=2,
            strata=expression,
        )
        assert (frame["p"] <= 0.05).all()
        assert frame["r"].min() > 0.5
        wrongly += frame["p_within"][0] <= 0.05
        assert frame["r_within"][1] > 0.8
        assert frame["p_within"][1] <= 1 / 100
    assert wrongly <= stats.binom.ppf(0.999, 10, 0.05)


def test_strata_exchange_labels_among_sequences_that_show_the_same() -> None:
    person, sequence = (
        np.repeat(np.arange(10), 12).astype(str),
        np.repeat(np.arange(60), 2).astype(str),
    )
    strata = np.where(
        np.arange(120) % 2 == 0, "neutral", np.repeat(np.tile(["fear", "fear", "anger"], 20), 2)
    )
    for moved in Arrangements(Exchangeability.of(person, sequence).within(strata), 20):
        assert (strata[moved] == strata).all()
        assert all(len(set(given)) == 1 for given in person[moved].reshape(10, 12))
        assert (person[moved] != person).any()
