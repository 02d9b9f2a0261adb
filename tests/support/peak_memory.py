"""What grading workers take at most, measured from outside."""

import threading

import psutil


class PeakMemory:
    """Largest resident memory of any child process while it is entered, in MB."""

    def __enter__(self):
        self.mb, self._done = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self):
        this = psutil.Process()
        command = this.cmdline()
        while not self._done.wait(0.02):
            for child in this.children():
                try:
                    # Before it has started its own program, a child shares the memory of this process.
                    if child.cmdline() != command:
                        self.mb = max(self.mb, child.memory_info().rss / 2**20)
                except psutil.NoSuchProcess:
                    continue

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()
