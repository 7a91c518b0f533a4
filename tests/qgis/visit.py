"""What QGIS does with a layer of a server, run by the Python that QGIS was built for.

``python3 - TASK <visit.py``, TASK being JSON: ``url``, ``layer``, ``page``, and what is to be done.
Prints one line of JSON. Knows of no test, nor of anything that QGIS does not bring.
"""

import json
import os
import sys
import tempfile

HOME = tempfile.TemporaryDirectory()
os.environ.update(
    HOME=HOME.name,
    XDG_RUNTIME_DIR=HOME.name,
    QGIS_AUTH_DB_DIR_PATH=HOME.name,
    QT_QPA_PLATFORM="offscreen",
)

from qgis.core import (  # noqa: E402
    Qgis,
    QgsApplication,
    QgsAuthMethodConfig,
    QgsFeature,
    QgsFeatureRequest,
    QgsGeometry,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QVariant  # noqa: E402


def sign_in(key):
    """Keep a key as QGIS keeps those of its users; return what to add to a layer's address."""
    manager = QgsApplication.authManager()
    assert manager.setMasterPassword("made for this run", True)
    config = QgsAuthMethodConfig("APIHeader")
    config.setName("key")
    config.setConfig("Authorization", "Bearer " + key)
    assert manager.storeAuthenticationConfig(config), "no such way to sign in"
    return " authcfg=" + config.id()


def plain(value):
    if value is None or (isinstance(value, QVariant) and value.isNull()):
        return None
    if hasattr(value, "toString"):
        return value.toString("yyyy-MM-ddTHH:mm:ss" if hasattr(value, "time") else "yyyy-MM-dd")
    return value


def as_json(feature):
    names = [field.name() for field in feature.fields()]
    shape = feature.geometry()
    found = {name: plain(value) for name, value in zip(names, feature.attributes(), strict=True)}
    found["geometry"] = None if shape.isNull() else bytes(shape.asWkb().toHex()).decode()
    return found


def request(task):
    asked = QgsFeatureRequest()
    if "expression" in task:
        asked.setFilterExpression(task["expression"])
    if "box" in task:
        asked.setFilterRect(QgsRectangle(*task["box"]))
    return asked


def find(layer, field, value):
    found = [f for f in layer.getFeatures() if plain(f[field]) == value]
    assert len(found) == 1, (field, value, len(found))
    return found[0]


def edit(layer, task):
    """Do the edits of a task in one session, as its users do, and save them."""
    assert layer.startEditing(), "it can't be edited"
    for step in task["edits"]:
        if step["do"] == "add":
            feature = QgsFeature(layer.fields())
            for name, value in step["properties"].items():
                feature[name] = value
            feature.setGeometry(QgsGeometry.fromWkt(step["geometry"]))
            assert layer.addFeature(feature)
            continue
        feature = find(layer, task["id_field"], step["id"])
        if step["do"] == "change":
            for name, value in step["properties"].items():
                at = layer.fields().indexOf(name)
                assert layer.changeAttributeValue(feature.id(), at, value)
        elif step["do"] == "move":
            shape = QgsGeometry.fromWkt(step["geometry"])
            assert layer.changeGeometry(feature.id(), shape)
        else:
            assert layer.deleteFeature(feature.id())
    saved = layer.commitChanges()
    return {"saved": saved, "errors": layer.commitErrors()}


def visit(task):
    page = "pagingEnabled='true' pageSize='{}'".format(task.get("page", 1000))
    address = "url='{}' typename='{}' {}".format(task["url"], task["layer"], page)
    if "box" in task:
        # As its users choose it; else all is fetched once, and rectangles are found in that.
        address += " restrictToRequestBBOX='1'"
    if "key" in task:
        address += sign_in(task["key"])
    layer = QgsVectorLayer(address, task["layer"], "OAPIF")
    if not layer.isValid():
        return {"valid": False}
    if "subset" in task:
        assert layer.setSubsetString(task["subset"])
    told = {
        "version": Qgis.QGIS_VERSION,
        "valid": True,
        "count": layer.featureCount(),
        "crs": layer.crs().authid(),
        "shape": layer.wkbType() % 1000,
        "fields": {field.name(): field.typeName() for field in layer.fields()},
        "can": layer.dataProvider().capabilitiesString(),
        "extent": [getattr(layer.extent(), n)() for n in ("xMinimum", "yMinimum")],
    }
    if "edits" in task:
        told.update(edit(layer, task))
    told["features"] = [as_json(f) for f in layer.getFeatures(request(task))]
    return told


application = QgsApplication([], False)
application.initQgis()
print("told:" + json.dumps(visit(json.loads(sys.argv[1]))))
sys.stdout.flush()
# Without goodbyes: some releases crash while they put away what Python still holds.
os._exit(0)
