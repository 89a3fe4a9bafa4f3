"""Keras on TensorFlow: started without its start-up chatter, and made deterministic on request."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

__all__ = ["compiled", "frozen", "limit_threads", "make_deterministic", "start_keras"]


def start_keras() -> ModuleType:
    """Import Keras and give the module.

    TensorFlow writes notes on processors and graphics cards straight to the error stream, some
    before its log level counts; they are kept out of terminals and notebooks. Errors raise exceptions all the same.
    """
    if "keras" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        with _quiet_error_stream():
            import keras

            keras.ops.zeros(1)  # starts the devices, which has notes of its own
    import keras

    return keras


def make_deterministic() -> None:
    """Make TensorFlow's operations give the same bytes each time on the same machine.

    A setting of the whole process, which is why no other function of temlib calls it.
    """
    if start_keras().backend.backend() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()


def limit_threads(number: int) -> None:
    """Let TensorFlow use so many threads in this process, as one of several that share a machine.

    To be called before Keras starts: afterwards the number stays what it is, and nothing happens.
    """
    if "keras" not in sys.modules:
        os.environ["TF_NUM_INTRAOP_THREADS"] = str(number)
        os.environ["TF_NUM_INTEROP_THREADS"] = "1"


def compiled(model: keras.Model) -> Callable[[np.ndarray], Any]:
    """Give a model as a plain function from an array to arrays, without the trimmings of ``predict``.

    On TensorFlow it is a graph that is not retraced for other sizes: a third less time for an
    encoder on two cores than ``predict_on_batch``. Other backends call the model as it is.
    """
    keras = start_keras()

    call = _graph(model) if keras.backend.backend() == "tensorflow" else lambda x: model(x, training=False)

    def compute(x: np.ndarray) -> Any:
        result = call(keras.ops.convert_to_tensor(x))
        if isinstance(result, (list, tuple)):
            return [keras.ops.convert_to_numpy(each) for each in result]
        return keras.ops.convert_to_numpy(result)

    return compute


def frozen(model: keras.Model) -> bytes:
    """Give a model in inference mode as a file of TensorFlow's (a GraphDef) that holds its weights too.

    It is for images of any size. Keras must run on TensorFlow.
    """
    changing, fixed = ([v.numpy() for v in some] for some in (model.trainable_variables, model.non_trainable_variables))
    graph = _traced(model, lambda x: model.stateless_call(changing, fixed, x, training=False)[0])
    return graph.get_concrete_function().graph.as_graph_def().SerializeToString()


def _graph(model: keras.Model) -> Any:
    """Give a model in inference mode as a TensorFlow function of one signature, for images of any size."""
    return _traced(model, lambda x: model(x, training=False))


def _traced(model: keras.Model, call: Callable) -> Any:
    import tensorflow as tf

    tf.get_logger().addFilter(_no_note_on_retracing)
    signature = [tf.TensorSpec(model.inputs[0].shape, tf.float32)]
    return tf.function(call, input_signature=signature, jit_compile=False)


def _no_note_on_retracing(record: logging.LogRecord) -> bool:
    """Keep out TensorFlow's note that one line makes many graphs: here each is of another network."""
    return "retracing" not in str(record.msg)


@contextmanager
def _quiet_error_stream() -> Iterator[None]:
    """Send what compiled code writes to the error stream (descriptor 2) nowhere."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
