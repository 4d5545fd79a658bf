"""What makes training of a few steps quick, in the processes that probe one backend."""

import sys

import keras


class _NoTensorFlow:
    """Keras would import it where it is installed, for seconds, with other backends too."""

    def find_spec(self, name, *_):
        if name == "tensorflow":
            raise ModuleNotFoundError(name)


def hasten(*, traced: bool = True) -> None:
    """Leave out what takes longer than so few steps: optimising graphs, and another backend.

    Args:
        traced: Whether TensorFlow traces functions, as users have it.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.run_functions_eagerly(not traced)
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    else:
        sys.meta_path.insert(0, _NoTensorFlow())
