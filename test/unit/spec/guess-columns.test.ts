import { guessColumns } from '../../../infra/spec/guess-columns';
import { parseSpec } from '../../../infra/spec/parse';
import { templateSpec } from '../../../infra/spec/template';

const column = (name: string, type: string, hasMissing = false) => ({ name, type, hasMissing });

describe('the first spec of a data file', () => {
  it('has the roles and types that names and types suggest', () => {
    const guessed = guessColumns([
      column('order_id', 'VARCHAR'),
      column('signup', 'DATE', true),
      column('event_time', 'TIMESTAMP'),
      column('amount', 'DECIMAL(10,2)', true),
      column('items', 'BIGINT'),
      column('gift', 'BOOLEAN'),
      column('member', 'BOOLEAN', true),
      column('label', 'INTEGER'),
      column('yes', 'VARCHAR'),
    ]);
    expect([guessed.id, guessed.eventTime, guessed.label]).toEqual(['order_id', 'event_time', 'label']);
    expect(guessed.features.map(({ name, type, nullable }) => `${name} ${type}${nullable ? '?' : ''}`)).toEqual([
      'signup timestamp?',
      'amount number?',
      'items integer',
      'gift boolean',
      'member category?',
      'yes category',
    ]);
    const text = templateSpec({ model: 'a/b', task: 'binary', source: '*.csv', columns: guessed });
    const spec = parseSpec(text, { file: 'model.yaml' });
    expect(spec.features.map(({ name }) => name)).toEqual(guessed.features.map(({ name }) => name));
  });

  it('takes the last number as the label where no name says so, and example names where nothing fits', () => {
    expect(guessColumns([column('age', 'BIGINT'), column('churned', 'BOOLEAN'), column('note', 'VARCHAR')])).toEqual({
      id: 'id',
      eventTime: 'event_time',
      label: 'churned',
      features: [
        { name: 'age', type: 'integer', nullable: false },
        { name: 'note', type: 'category', nullable: false },
      ],
    });
  });
});
