import type { InputSignature, Signature } from '../../../workflows/domain/release';
import { incompatibilities } from '../../../workflows/domain/signature';

const distance: InputSignature = {
  name: 'distance',
  type: 'number',
  datatype: 'FP32',
  unit: 'mi',
  range: [0, 5000],
  values: null,
  nullable: true,
  parts: [],
  onInvalid: 'reject',
};
const carrier: InputSignature = {
  ...distance,
  name: 'carrier',
  type: 'category',
  datatype: 'BYTES',
  unit: '',
  range: null,
  values: ['AA', 'UA'],
  nullable: false,
};
const signature = (...inputs: InputSignature[]): Signature => ({
  task: 'binary',
  inputs,
  output: { name: 'score', datatype: 'FP32' },
});
const notes = (...inputs: InputSignature[]): string[] =>
  incompatibilities(signature(distance, carrier), signature(...inputs));

describe('compatibility of signatures', () => {
  it('is given when nothing changes, when inputs go, and when an optional one comes', () => {
    expect(notes(distance, carrier)).toEqual([]);
    expect(notes(carrier)).toEqual([]);
    expect(notes(distance, carrier, { ...distance, name: 'weight' })).toEqual([]);
    expect(notes({ ...distance, range: [-1, 9000] }, { ...carrier, values: null, nullable: true })).toEqual([]);
  });

  it.each([
    ['a new required input', { ...distance, name: 'weight', nullable: false }, 'weight is a new required input'],
    [
      'another unit',
      { ...distance, unit: 'km', range: [16, 4000] as const },
      'distance changed its unit from mi to km',
    ],
    ['a unit dropped', { ...distance, unit: '' }, 'distance changed its unit from mi to none'],
    [
      'a narrower range',
      { ...distance, range: [0, 3000] as const },
      'distance narrowed its range from [0, 5000] to [0, 3000]',
    ],
    [
      'another type',
      { ...distance, type: 'integer' as const, datatype: 'INT64' as const },
      'distance changed its type from number to integer',
    ],
    ['missing no longer allowed', { ...distance, nullable: false }, 'distance may no longer be missing'],
    ['categories taken away', { ...carrier, values: ['AA'] }, 'carrier no longer takes UA'],
  ])('is broken by %s', (_, changed, note) => {
    expect(notes(changed)).toEqual([note]);
  });

  it('is broken when an open category is closed, or the task changes', () => {
    const open = { ...carrier, values: null };
    expect(incompatibilities(signature(open), signature(carrier))).toEqual([
      'carrier takes listed categories only, before it took any',
    ]);
    expect(incompatibilities(signature(), { ...signature(), task: 'regression' })).toEqual([
      'the task changed from binary to regression',
    ]);
  });
});
