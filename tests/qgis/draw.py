"""What QGIS draws of tiles of a server, run by the Python that QGIS was built for.

``python3 - TASK <draw.py``, TASK being JSON: ``kind`` (tiles or wms) and ``source`` of the layer as
its users state it; the address of its ``style`` where there is one; ``box`` in EPSG:3857 and
``size`` in pixels of the picture. Prints one line of JSON with the picture in it. Knows of no
test, nor of anything that QGIS does not bring.
"""

import base64
import json
import os
import sys
import tempfile
import urllib.request

HOME = tempfile.TemporaryDirectory()
os.environ.update(HOME=HOME.name, XDG_RUNTIME_DIR=HOME.name, QT_QPA_PLATFORM="offscreen")

from qgis.core import (  # noqa: E402
    Qgis,
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsMapBoxGlStyleConversionContext,
    QgsMapBoxGlStyleConverter,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorTileLayer,
)
from qgis.PyQt.QtCore import QBuffer, QByteArray, QIODevice, QSize  # noqa: E402
from qgis.PyQt.QtGui import QColor, QImage  # noqa: E402


def read(address):
    with urllib.request.urlopen(address) as answer:
        return answer.read()


def judge(address):
    """What the converter of styles says of one by itself: the same that a layer is styled by."""
    style = json.loads(read(address))
    context = QgsMapBoxGlStyleConversionContext()
    if "sprite" in style:
        sheet = QImage.fromData(read(style["sprite"] + "@2x.png"))
        context.setSprites(sheet, json.loads(read(style["sprite"] + "@2x.json")))
    converter = QgsMapBoxGlStyleConverter()
    assert converter.convert(style, context) == QgsMapBoxGlStyleConverter.Success
    return {
        "warnings": converter.warnings(),
        "drawn": [s.styleName() for s in converter.renderer().styles()],
        "written": [s.styleName() for s in converter.labeling().styles()],
    }


def open_layer(task):
    if task["kind"] == "wms":
        return QgsRasterLayer(task["source"], "ours", "wms")
    layer = QgsVectorTileLayer(task["source"], "ours")
    if layer.isValid() and task["style"]:
        message, styled = layer.loadDefaultStyle()
        assert styled, message
    return layer


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
    layer = open_layer(task)
    told = {"version": Qgis.QGIS_VERSION, "valid": layer.isValid()}
    if not layer.isValid():
        return {**told, "error": layer.error().message()}
    if task["style"]:
        told.update(judge(task["style"]))
    return {**told, "crs": layer.crs().authid(), "png": draw(layer, task)}


application = QgsApplication([], False)
application.initQgis()
print("told:" + json.dumps(visit(json.loads(sys.argv[1]))))
sys.stdout.flush()
# Without goodbyes: some releases crash while they put away what Python still holds.
os._exit(0)
