from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from adain.once import Once


def test_of_many_threads_one_is_the_first():
    once, start = Once(), Barrier(8)

    def ask(name):
        start.wait(10)
        return [once.first(i) for i in range(500)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert [sum(column) for column in zip(*answers, strict=True)] == [1] * 500
