# Calls Adobe's Python package aepp, as it is, at the service of a URL: calls_aepp.py URL WORK ID... Prints what it gives.
import json
import sys

import aepp
from aepp import catalog, dataaccess

url = sys.argv[1]
aepp.configure(org_id="ORG@AdobeOrg", client_id="key", secret="secret", scopes="openid", sandbox="prod")
# It knows Adobe's addresses only.
aepp.config.endpoints["global"] = url
aepp.config.config_object["oauthTokenEndpointV2"] = url + "/ims/token/v3"
store, access = catalog.Catalog(), dataaccess.DataAccess()


def rows(frame):
    return json.loads(frame.to_json(orient="index"))


def create(name):
    made = store.createDataSet(name=name, schemaId="https://ns.adobe.com/t/schemas/1")
    id = made[0].split("/")[-1]
    return {"id": id, "enabled": store.enableDatasetProfile(id, upsert=True)}


def look(dataset, batch):
    listed = store.getDataSets()
    files = access.getBatchFiles(batch)
    id = files[0]["dataSetFileId"]
    names = [one["name"] for one in access.getFiles(id)["data"]]
    return {
        "last": store.getLastBatches(dataset), "listed": sorted(one["name"] for one in listed.values()),
        "infos": list(rows(store.data.infos).values()), "failed": rows(store.getFailedBatchesDF(n_results=5)),
        "files": files, "names": names, "content": access.getFiles(id, path=names[0]).decode(),
        "preview": access.getPreview(dataset), "mapper": rows(store.getMapperErrors()),
    }


def mapper():
    return list(rows(store.getMapperErrors()).values())


print(json.dumps({"create": create, "look": look, "mapper": mapper}[sys.argv[2]](*sys.argv[3:])))
