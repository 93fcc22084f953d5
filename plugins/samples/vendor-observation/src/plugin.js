// Makes a FHIR R4 Observation of a telehealth vendor's own JSON, so that the vendor's device box need not learn FHIR:
//
//   { "kind": "blood-pressure", "patient": "4711", "device": "SN-1", "takenAt": "2026-03-02T09:00:00+01:00",
//     "values": { "systolic": 128, "diastolic": 82 } }
//
// The gateway judges what comes of it like any other request. A body that is FHIR already passes. What the plugin doesn't
// know it refuses: a reading that is silently dropped is worse than one that is sent again. Digits stay as they were
// written: 36.50 is not 36.5.
import { Decimal, parse, pass, refuse, replace, request } from '../../../sdk-js/index.js';
import { settings } from '../../../sdk-js/settings.js';
import { count } from '../../../sdk-js/counters.js';

const LOINC = 'http://loinc.org';
const UCUM = 'http://unitsofmeasure.org';

// kind: the Observation's code, and of each value its code and unit. One value alone is the Observation's own.
const KINDS = {
  'blood-pressure': {
    code: ['85354-9', 'Blood pressure panel with all children optional'],
    values: {
      systolic: ['8480-6', 'Systolic blood pressure', 'mm[Hg]'],
      diastolic: ['8462-4', 'Diastolic blood pressure', 'mm[Hg]'],
    },
  },
  'heart-rate': { code: ['8867-4', 'Heart rate'], values: { rate: ['8867-4', 'Heart rate', '/min'] } },
  oxygen: {
    code: ['59408-5', 'Oxygen saturation in Arterial blood by Pulse oximetry'],
    values: { saturation: ['59408-5', 'Oxygen saturation in Arterial blood by Pulse oximetry', '%'] },
  },
  weight: { code: ['29463-7', 'Body weight'], values: { weight: ['29463-7', 'Body weight', 'kg'] } },
  temperature: { code: ['8310-5', 'Body temperature'], values: { temperature: ['8310-5', 'Body temperature', 'Cel'] } },
};

const INSTANT = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$/;
const NUMBER = /^[A-Za-z0-9.-]{1,64}$/;

const isNumber = (value) => value instanceof Decimal || (typeof value === 'number' && Number.isFinite(value));
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const own = (object, name) => (Object.hasOwn(object, name) ? object[name] : undefined);
const concept = ([code, display]) => ({ coding: [{ system: LOINC, code, display }] });
const wrong = (diagnostics) => refuse('unprocessable', 'value', diagnostics);

export function judge(_context, body) {
  let reading;
  try {
    reading = parse(body);
  } catch {
    return refuse('bad-request', 'structure', 'Send a reading as one JSON object in UTF-8.');
  }
  if (!isObject(reading)) return refuse('bad-request', 'structure', 'Send a reading as one JSON object in UTF-8.');
  if (own(reading, 'resourceType') !== undefined) return pass();

  const kind = typeof reading.kind === 'string' ? own(KINDS, reading.kind) : undefined;
  if (!kind) return wrong(`Give kind as one of: ${Object.keys(KINDS).join(', ')}.`);
  if (typeof reading.patient !== 'string' || !NUMBER.test(reading.patient)) {
    return wrong('Give patient as 1 to 64 letters, digits, dots and hyphens.');
  }
  if (typeof reading.takenAt !== 'string' || !INSTANT.test(reading.takenAt)) {
    return wrong('Give takenAt with seconds and time zone, such as 2026-03-02T09:00:00+01:00.');
  }
  const values = isObject(reading.values) ? reading.values : {};
  const names = Object.keys(kind.values);
  if (!names.every((name) => isNumber(own(values, name))) || Object.keys(values).length !== names.length) {
    return wrong(`Give values as numbers, exactly these: ${names.join(', ')}.`);
  }
  if (reading.device !== undefined && (typeof reading.device !== 'string' || !NUMBER.test(reading.device))) {
    return wrong('Give device as 1 to 64 letters, digits, dots and hyphens, or leave it out.');
  }

  const { patients, devices } = settings();
  const quantity = (name) => {
    const unit = kind.values[name][2];
    return { value: values[name], unit, system: UCUM, code: unit };
  };
  const observation = {
    resourceType: 'Observation',
    status: 'final',
    category: [
      {
        coding: [
          { system: 'http://terminology.hl7.org/CodeSystem/observation-category', code: 'vital-signs', display: 'Vital Signs' },
        ],
      },
    ],
    code: concept(kind.code),
    subject: { reference: patients + reading.patient },
    effectiveDateTime: reading.takenAt,
    ...(names.length === 1
      ? { valueQuantity: quantity(names[0]) }
      : { component: names.map((name) => ({ code: concept(kind.values[name]), valueQuantity: quantity(name) })) }),
    ...(reading.device ? { device: { identifier: { system: devices, value: reading.device } } } : {}),
  };
  count('readings');
  return replace(observation);
}

export const requestHook = request(judge);
