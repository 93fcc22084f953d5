"""Synthetic resources of the sizes that the benchmark sends: 5 KB and 1 MB. Nobody's data."""

import base64
import json
import random

PATIENT = "Patient/p1"


def observation(number, notes):
    """A laboratory result of the benchmark's patient; `notes` lengthens it."""
    return {
        "resourceType": "Observation",
        "id": f"o{number}",
        "meta": {"versionId": "1", "lastUpdated": "2026-11-01T08:30:00+01:00"},
        "identifier": [{"system": "urn:oid:2.16.840.1.113883.2.9.4.1.2.1", "value": f"{number:08}"}],
        "status": "final",
        "category": [{"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}], "text": "Emoglobina"},
        "subject": {"reference": PATIENT},
        "effectiveDateTime": "2026-11-01T07:55:00+01:00",
        "valueQuantity": {
            "value": 13.40, "unit": "g/dL", "system": "http://unitsofmeasure.org", "code": "g/dL"},
        "note": [{"text": f"Controllo n. {note}: perché già visto, si ripete tra sette giorni."} for note in range(notes)],
    }


def patient():
    """A Patient of about 5 KB."""
    telephones = [{"system": "phone", "use": "mobile", "value": f"+39 333 {n:07}"} for n in range(42)]
    addresses = [{
        "use": "old", "line": [f"Via Libertà {n}"], "city": "Forlì", "postalCode": "47121", "country": "IT"}
        for n in range(26)]
    return {
        "resourceType": "Patient",
        "id": "p1",
        "meta": {"versionId": "1", "lastUpdated": "2026-11-01T08:30:00+01:00"},
        "identifier": [{"system": "http://hl7.it/sid/codiceFiscale", "value": "RSSMRA71E01F205E"}],
        "name": [{"family": "Rossi", "given": ["Mària"]}],
        "telecom": telephones,
        "address": addresses,
        "birthDate": "1971-05-01",
    }


def text(resource):
    """As a server sends it: without white space."""
    return json.dumps(resource, ensure_ascii=False, separators=(",", ":")).encode()


def searchset(least):
    """A searchset Bundle of at least `least` bytes."""
    entries = []
    size = 0
    while size < least:
        resource = observation(len(entries), 9)
        entries.append({"fullUrl": f"http://server.test/fhir/Observation/{resource['id']}",
                        "resource": resource, "search": {"mode": "match"}})
        size += len(text(entries[-1])) + 1
    return {"resourceType": "Bundle", "type": "searchset", "total": len(entries), "entry": entries}


def document(least):
    """A DocumentReference that holds its document of at least `least` bytes."""
    letter = random.Random(7).randbytes(least * 3 // 4)
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "type": {"coding": [{"system": "http://loinc.org", "code": "34105-7"}]},
        "subject": {"reference": PATIENT},
        "content": [{"attachment": {
            "contentType": "application/pdf", "data": base64.b64encode(letter).decode()}}],
    }


def consent():
    """The patient permits everything."""
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": PATIENT},
        "dateTime": "2026-10-01",
        "policyRule": {"coding": [{
            "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "OPTIN"}]},
        "provision": {"type": "permit"},
    }
