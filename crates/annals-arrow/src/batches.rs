//! Decisions of a query as record batches, one after the other.

use std::collections::VecDeque;
use std::sync::Arc;

use annals::entry::KeptInput;
use annals::read::{Inferences, WithInputs, WithOutcomes};
use annals::{InferenceRecord, JournalId, Outcomes, Query, Reader};
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, RecordBatchReader};
use arrow_schema::{ArrowError, Schema, SchemaRef};

use crate::arrays::{array, blobs, number_lists, words};
use crate::columns::{DecisionColumns, DecisionRow};
use crate::error::UnknownColumn;
use crate::inputs::InputColumns;
use crate::schema::{FIELDS, Part, Parts};

/// Rows of a batch, unless their inputs are large.
const BATCH: usize = 65_536;
/// Bytes of inputs at which a batch ends.
const INPUT_BYTES: usize = 64 << 20;
/// Decisions whose outcomes are looked up together, beside their inputs.
const TOGETHER: usize = 1_024;

/// Makes one batch after the other from decisions.
///
/// ```
/// use annals_arrow::{BatchBuilder, DecisionRow, Parts};
///
/// # let journal = annals::Journal::in_memory()?;
/// # journal.log(annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8));
/// # journal.flush().wait(std::time::Duration::from_secs(5))?;
/// let reader = journal.reader()?;
/// let names = ["model".to_owned(), "confidence".to_owned()];
/// let mut builder = BatchBuilder::new(reader.id(), Parts::default(), Some(&names))?;
/// for record in reader.inferences().iter() {
///     builder.push(DecisionRow::Inference(&record?, None), None);
/// }
/// let batch = builder.take()?;
/// assert_eq!((batch.num_rows(), batch.num_columns()), (1, 2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BatchBuilder {
    columns: DecisionColumns<Arc<str>>,
    inputs: InputColumns,
    parts: Parts,
    selected: Vec<usize>,
    schema: SchemaRef,
}

impl BatchBuilder {
    /// Makes batches of the columns with these names, or of all that `parts` have.
    ///
    /// # Errors
    /// For a name that is of no column.
    pub fn new(
        journal: JournalId,
        parts: Parts,
        names: Option<&[String]>,
    ) -> Result<Self, UnknownColumn> {
        let selected = parts.select(names)?;
        let fields = selected.iter().filter_map(|index| FIELDS.get(*index));
        let fields: Vec<_> = fields.map(|field| field.field()).collect();
        let columns = DecisionColumns::new(journal);
        Ok(BatchBuilder {
            columns: match selected.contains(&ID) {
                true => columns,
                false => columns.without_ids(),
            },
            inputs: InputColumns::default(),
            parts,
            selected,
            schema: Arc::new(Schema::new(fields)),
        })
    }

    /// The columns of the batches.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// Adds a decision, and what became of its input.
    pub fn push(&mut self, row: DecisionRow<'_>, input: Option<&KeptInput>) {
        self.columns.push(row);
        if self.parts.inputs {
            self.inputs.push(input.unwrap_or(&KeptInput::NotKept));
        }
    }

    /// How many rows are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether no rows are held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn is_full(&self) -> bool {
        self.len() >= BATCH || self.inputs.bytes() >= INPUT_BYTES
    }

    /// The rows as a batch; none are held any more.
    ///
    /// # Errors
    /// If the bytes of a column are beyond 2^31.
    pub fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        let rows = self.columns.len();
        let inputs = std::mem::take(&mut self.inputs);
        let mut inputs = InputArrays::new(inputs, self.parts.inputs)?;
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.selected.len());
        for (index, field) in self.selected.iter().zip(self.schema.fields()) {
            arrays.push(match self.columns.column(*index) {
                Some(column) => array(column, field.data_type())?,
                None => inputs.get(index.saturating_sub(FIRST_INPUT))?,
            });
        }
        self.columns.clear();
        // Without columns the batch still has rows to count.
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)
    }
}

/// The number of the column `id`, which takes the longest to make.
const ID: usize = 1;
/// The number of the first column of inputs.
const FIRST_INPUT: usize = {
    let mut index = 0;
    while index < FIELDS.len() && !matches!(FIELDS[index].part, Part::Input) {
        index += 1;
    }
    index
};

/// The columns of inputs, in the order of the schema.
struct InputArrays(Vec<ArrayRef>);

impl InputArrays {
    fn new(inputs: InputColumns, is_wanted: bool) -> Result<Self, ArrowError> {
        if !is_wanted {
            return Ok(InputArrays(Vec::new()));
        }
        Ok(InputArrays(vec![
            number_lists::<Float32Type>(inputs.features)?,
            number_lists::<Float64Type>(inputs.features_64)?,
            blobs(inputs.bytes)?,
            words(&inputs.states)?,
        ]))
    }

    fn get(&mut self, index: usize) -> Result<ArrayRef, ArrowError> {
        let found = self.0.get(index).cloned();
        found.ok_or_else(|| ArrowError::SchemaError("no such column of inputs".to_owned()))
    }
}

/// The decisions of a query as record batches. A batch has up to 65,536 rows, so the memory does
/// not grow with the answer.
///
/// ```
/// use annals_arrow::{DecisionBatches, Parts};
///
/// # let journal = annals::Journal::in_memory()?;
/// # journal.log(annals::Inference::new("dqn_agent", "ETH/USDT", "BUY").confidence(0.8));
/// # journal.flush().wait(std::time::Duration::from_secs(5))?;
/// let reader = journal.reader()?;
/// let parts = Parts { outcomes: true, inputs: true };
/// let query = reader.inferences().model("dqn_agent");
/// for batch in DecisionBatches::new(&reader, query, parts, None)? {
///     assert_eq!(batch?.num_rows(), 1);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DecisionBatches {
    decisions: Decisions,
    builder: BatchBuilder,
    is_over: bool,
}

impl DecisionBatches {
    /// Runs the query over the committed entries of this moment, with the columns of these names or
    /// all that `parts` have.
    ///
    /// # Errors
    /// For a name that is of no column.
    pub fn new(
        reader: &Reader,
        query: Query,
        parts: Parts,
        names: Option<&[String]>,
    ) -> Result<Self, UnknownColumn> {
        let builder = BatchBuilder::new(reader.id(), parts, names)?;
        // Columns that nobody asked for are not looked up.
        let is_asked = |part| {
            let mut fields = builder
                .selected
                .iter()
                .filter_map(|index| FIELDS.get(*index));
            fields.any(|field| field.part == part)
        };
        let parts = Parts {
            outcomes: is_asked(Part::Outcome),
            inputs: is_asked(Part::Input),
        };
        Ok(DecisionBatches {
            decisions: Decisions::new(reader, query, parts),
            builder: BatchBuilder { parts, ..builder },
            is_over: false,
        })
    }

    fn step(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        for decision in self.decisions.by_ref() {
            let Decision {
                record,
                outcomes,
                input,
            } = decision.map_err(|error| ArrowError::ExternalError(Box::new(error)))?;
            let row = DecisionRow::Inference(&record, outcomes.as_ref());
            self.builder.push(row, input.as_ref());
            if self.builder.is_full() {
                return self.builder.take().map(Some);
            }
        }
        self.is_over = true;
        match self.builder.is_empty() {
            true => Ok(None),
            false => self.builder.take().map(Some),
        }
    }
}

impl Iterator for DecisionBatches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let item = self.step().transpose();
        self.is_over |= !matches!(item, Some(Ok(_)));
        item
    }
}

impl RecordBatchReader for DecisionBatches {
    fn schema(&self) -> SchemaRef {
        self.builder.schema()
    }
}

/// A decision with what is known about it.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The inference or repeat.
    pub record: InferenceRecord,
    /// The outcomes that hold, if they were asked for and there are any.
    pub outcomes: Option<Outcomes>,
    /// What became of the input, if it was asked for.
    pub input: Option<KeptInput>,
}

/// The decisions of a query, with the [`Parts`] that were asked for.
pub struct Decisions {
    source: Source,
    /// For outcomes beside inputs.
    reader: Reader,
    ready: VecDeque<Decision>,
    failed: Option<annals::Error>,
}

enum Source {
    Alone(Inferences),
    WithOutcomes(Box<WithOutcomes>),
    WithInputs(WithInputs),
    WithBoth(WithInputs),
}

impl Decisions {
    /// Runs the query over the committed entries of this moment.
    #[must_use]
    pub fn new(reader: &Reader, query: Query, parts: Parts) -> Self {
        Decisions {
            source: match (parts.outcomes, parts.inputs) {
                (false, false) => Source::Alone(query.iter()),
                (true, false) => Source::WithOutcomes(Box::new(query.with_outcomes())),
                (false, true) => Source::WithInputs(query.with_inputs()),
                (true, true) => Source::WithBoth(query.with_inputs()),
            },
            reader: reader.clone(),
            ready: VecDeque::new(),
            failed: None,
        }
    }

    /// Reads some decisions with inputs ahead, and looks their outcomes up together.
    fn fill(&mut self) -> annals::Result<()> {
        let Source::WithBoth(source) = &mut self.source else {
            return Ok(());
        };
        for item in source.by_ref().take(TOGETHER) {
            match item {
                Ok((record, input)) => self.ready.push_back(Decision {
                    record,
                    outcomes: None,
                    input: Some(input),
                }),
                // Told after the decisions before it.
                Err(error) => self.failed = Some(error),
            }
        }
        let ids: Vec<_> = self
            .ready
            .iter()
            .map(|decision| decision.record.id)
            .collect();
        let outcomes = self.reader.outcomes_of_each(&ids)?;
        for (decision, outcomes) in self.ready.iter_mut().zip(outcomes) {
            decision.outcomes = outcomes;
        }
        Ok(())
    }
}

impl Iterator for Decisions {
    type Item = annals::Result<Decision>;

    fn next(&mut self) -> Option<Self::Item> {
        let alone = |record, outcomes, input| Decision {
            record,
            outcomes,
            input,
        };
        match &mut self.source {
            Source::Alone(source) => Some(source.next()?.map(|record| alone(record, None, None))),
            Source::WithOutcomes(source) => Some(
                source
                    .next()?
                    .map(|(record, known)| alone(record, known, None)),
            ),
            Source::WithInputs(source) => {
                let item = source.next()?;
                Some(item.map(|(record, input)| alone(record, None, Some(input))))
            }
            Source::WithBoth(_) => {
                if self.ready.is_empty()
                    && self.failed.is_none()
                    && let Err(error) = self.fill()
                {
                    self.ready.clear();
                    return Some(Err(error));
                }
                let ready = self.ready.pop_front().map(Ok);
                ready.or_else(|| self.failed.take().map(Err))
            }
        }
    }
}
