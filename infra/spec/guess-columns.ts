import type { FeatureType } from '../../workflows/domain/spec';

/** A column of a data file, with DuckDB's name for its type. */
export interface FoundColumn {
  readonly name: string;
  readonly type: string;
  /** Whether a value is missing in some row. */
  readonly hasMissing: boolean;
}

export interface GuessedFeature {
  readonly name: string;
  readonly type: FeatureType;
  readonly nullable: boolean;
}

/** What the columns of a file probably are. People correct it in the spec. */
export interface GuessedColumns {
  readonly id: string;
  readonly eventTime: string;
  readonly label: string;
  readonly features: readonly GuessedFeature[];
}

const ID = /^(id|uuid|key|.+[_-]id|.+Id)$/;
const LABEL = /^(label|target|outcome|y)$/i;

/** By name first, then by type and place: the label is often the last column. The names that a template has where nothing fits. */
export function guessColumns(columns: readonly FoundColumn[]): GuessedColumns {
  const id = columns.find(({ name }) => ID.test(name))?.name ?? 'id';
  const instants = columns.filter(({ type }) => typeOf(type) === 'timestamp');
  const eventTime = (instants.find(({ name }) => /event/i.test(name)) ?? instants[0])?.name ?? 'event_time';
  const rest = columns.filter(({ name }) => name !== id && name !== eventTime);
  const numeric = rest.filter(({ type }) => ['integer', 'number', 'boolean'].includes(typeOf(type)));
  const label = (rest.find(({ name }) => LABEL.test(name)) ?? numeric.at(-1))?.name ?? 'label';
  const features = rest.filter(({ name }) => name !== label).map(featureOf);
  return { id, eventTime, label, features };
}

/** A boolean cannot be missing when it is served; one that is at times is a category. */
function featureOf({ name, type, hasMissing }: FoundColumn): GuessedFeature {
  const guessed = typeOf(type);
  return { name, type: guessed === 'boolean' && hasMissing ? 'category' : guessed, nullable: hasMissing };
}

function typeOf(type: string): FeatureType {
  if (/^(TIMESTAMP|DATE)/.test(type)) return 'timestamp';
  if (/INT(EGER)?$/.test(type)) return 'integer';
  if (/^(FLOAT|DOUBLE|DECIMAL)/.test(type)) return 'number';
  return type === 'BOOLEAN' ? 'boolean' : 'category';
}
