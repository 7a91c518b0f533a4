"""What QGIS draws of tiles of a server, run by the Python that QGIS was built for.

``python3 - TASK <draw.py``, TASK being JSON: ``source`` and ``kind`` (vector tiles or WMTS) of the
layer, ``box`` in EPSG:3857 and ``size`` in pixels of the picture. Prints one line of JSON with the
picture in it. Knows of no test, nor of anything that QGIS does not bring.
"""

import base64
import json
import os
import sys
import tempfile

HOME = tempfile.TemporaryDirectory()
os.environ.update(HOME=HOME.name, XDG_RUNTIME_DIR=HOME.name, QT_QPA_PLATFORM="offscreen")

from qgis.core import (  # noqa: E402
    Qgis,
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorTileLayer,
)
from qgis.PyQt.QtCore import QBuffer, QByteArray, QIODevice, QSize  # noqa: E402
from qgis.PyQt.QtGui import QColor  # noqa: E402


def open_layer(task):
    """Open a layer, styled as its source says; return it with what QGIS can't draw of the style."""
    if task["kind"] == "wmts":
        return QgsRasterLayer(task["source"], "ours", "wms"), []
    layer = QgsVectorTileLayer(task["source"], "ours")
    if not layer.isValid():
        return layer, []
    error, *_ = found = layer.loadDefaultStyle()
    assert error == "", error
    return layer, list(found[-1]) if isinstance(found[-1], (list, tuple)) else []


def draw(layer, task):
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    settings.setExtent(QgsRectangle(*task["box"]))
    settings.setOutputSize(QSize(*task["size"]))
    settings.setBackgroundColor(QColor("white"))
    settings.setFlag(QgsMapSettings.Antialiasing, True)
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    assert not job.errors(), [e.message for e in job.errors()]
    # PNG without loss, as text: this process may be in a tree of its own.
    found = QByteArray()
    buffer = QBuffer(found)
    buffer.open(QIODevice.WriteOnly)
    assert job.renderedImage().save(buffer, "PNG")
    return base64.b64encode(bytes(found)).decode()


def visit(task):
    layer, warnings = open_layer(task)
    told = {"version": Qgis.QGIS_VERSION, "valid": layer.isValid(), "warnings": warnings}
    if not layer.isValid():
        return told | {"error": layer.error().message()}
    return told | {"crs": layer.crs().authid(), "png": draw(layer, task)}


application = QgsApplication([], False)
application.initQgis()
print("told:" + json.dumps(visit(json.loads(sys.argv[1]))))
sys.stdout.flush()
# Without goodbyes: some releases crash while they put away what Python still holds.
os._exit(0)
