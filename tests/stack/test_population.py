"""What is drawn: always the same for the same seed, and nothing that people could not have done."""

import pytest

from pkg.names import make_name_keys
from scripts.population.amounts import Amounts, PopulationRefused
from scripts.population.world import Pairs, World, draw_world

AMOUNTS = Amounts(
    seed=5, users=60, videos=80, likes=900, follows=400, comments=200, messages=300, burst=7
)


@pytest.fixture(scope="module")
def world() -> World:
    return draw_world(AMOUNTS)


def list_pairs(pairs: Pairs) -> list[tuple[int, int]]:
    return [pairs.get(index) for index in range(len(pairs))]


def test_the_same_seed_draws_the_same_and_another_one_something_else(world: World):
    assert draw_world(AMOUNTS) == world
    assert draw_world(Amounts(**{**vars(AMOUNTS), "seed": 6})).likes != world.likes


def test_every_pair_is_drawn_once_and_nobody_follows_themselves(world: World):
    likes, follows = list_pairs(world.likes), list_pairs(world.follows)

    assert len(set(likes)) == AMOUNTS.likes
    assert len(set(follows)) == AMOUNTS.follows
    assert all(doer != target for doer, target in follows)
    assert {video for _, video in likes} <= set(range(AMOUNTS.videos))
    assert any((target, doer) in follows for doer, target in follows)


def test_counts_are_those_of_the_pairs(world: World):
    likes = list_pairs(world.likes)

    assert world.likes.count_doers()[3] == sum(doer == 3 for doer, _ in likes)
    assert world.likes.count_targets()[3] == sum(video == 3 for _, video in likes)


def test_the_newest_videos_burst_and_all_times_differ(world: World):
    ages = list(world.ages_ms)

    assert ages[-AMOUNTS.burst :] == list(range(AMOUNTS.burst))[::-1]
    assert len(set(ages)) == AMOUNTS.videos
    assert sorted(ages, reverse=True) == ages


def test_a_few_videos_have_most_of_the_likes():
    many = draw_world(Amounts(users=500, videos=1000, likes=10_000))

    counts = sorted(many.likes.count_targets().values(), reverse=True)

    assert sum(counts[:100]) > 2 * sum(counts[-500:])


def test_who_writes_follows_whom_they_write_to(world: World):
    assert set(world.conversations) <= set(list_pairs(world.follows))


def test_no_two_names_look_alike():
    keys = [make_name_keys(f"seed1-{number}") for number in range(200)]

    for name in ("look_key", "capital_key", "fold_key"):
        assert len({getattr(key, name) for key in keys}) == 200


@pytest.mark.parametrize(
    ("amounts", "why"),
    [
        (Amounts(videos=5), "give --users"),
        (Amounts(users=5, likes=1), "need --videos"),
        (Amounts(users=5, comments=1), "need --videos"),
        (Amounts(users=5, messages=1), "need --follows"),
        (Amounts(users=4, videos=4, likes=5), "at most 4"),
        (Amounts(users=4, follows=4), "at most 3"),
        (Amounts(users=4, videos=4, burst=5), "--burst 5"),
    ],
)
def test_what_cannot_be_drawn_is_refused(amounts: Amounts, why: str):
    with pytest.raises(PopulationRefused, match=why):
        draw_world(amounts)
