//! An agent around a language model, in an async program: prompts and answers are kept as blobs.
//!
//! A conversation is a chain: the prompt leads to a call of a tool, and that to the answer. Each
//! decision names its cause, and all share the id of the conversation. Addresses are redacted
//! before anything is queued. The model is a stand-in: nothing here needs a network.

#![allow(clippy::print_stdout, reason = "a program for a terminal")]

use std::sync::Arc;
use std::time::Duration;

use annals::record::{Blob, Redaction};
use annals::{Inference, InferenceId, Journal, Manifest, Outcome, Value};
use tokio::task::{JoinSet, spawn_blocking};

/// A program's own errors.
type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let place = dir.path().join("data");
    let manifest = Manifest::new()
        .program("llm_agent", env!("CARGO_PKG_VERSION"))
        .pairs([("prompt_version", "3")]);
    let options = Journal::options().manifest(manifest).redact(hide_addresses);
    let journal = Arc::new(spawn_blocking(move || options.open(place)).await??);

    let questions = [
        "What does the order 4711 cost? Answer to ann@example.com.",
        "What does the order 12 cost? I am bob@example.org.",
        "Thank you!",
    ];
    let mut conversations = JoinSet::new();
    for (number, question) in questions.into_iter().enumerate() {
        let id = format!("conversation-{number}");
        conversations.spawn(converse(journal.clone(), id, question.to_owned()));
    }
    let mut last = Vec::new();
    while let Some(ended) = conversations.join_next().await {
        last.push(ended??);
    }
    journal.flush().await?;

    // Later, from the journal alone: how did it come to each answer?
    let reader = journal.reader()?;
    last.sort_unstable();
    for id in last {
        let mut next = Some(id);
        println!("{id}, the last first:");
        while let Some(id) = next {
            let Some(decision) = reader.get(id)? else {
                break;
            };
            println!(
                "  {} {} by {}",
                decision.id, decision.action, decision.model
            );
            for name in &decision.blobs {
                let text = reader.blob(id, name)?.text();
                println!("    {name}: {}", text.as_deref().unwrap_or("not kept"));
            }
            next = decision.caused_by;
        }
    }
    let of_one = reader.inferences().correlation("conversation-0").iter();
    println!("{} decisions are of conversation-0", of_one.count());
    let inputs = journal.health().inputs;
    println!(
        "{} blobs are stored, {} were there already",
        inputs.kept, inputs.repeated
    );
    spawn_blocking(move || journal.close()).await??;
    Ok(())
}

/// One conversation; returns its last decision.
async fn converse(
    journal: Arc<Journal>,
    conversation: String,
    question: String,
) -> Result<InferenceId, Failure> {
    // Each prompt begins with the same words, which are a blob of their own: stored once.
    let system = "You answer questions about orders. Call the tool `price` to know one.";
    let mut asked = question.clone();
    let mut cause = None;
    loop {
        let timer = journal.start();
        let answer = model(&asked).await;
        let action = match &answer {
            Answer::Call(_) => "call a tool",
            Answer::Text(_) => "answer",
        };
        let text = answer.text();
        let blobs = [
            Blob::new("system", system),
            Blob::new("prompt", &asked),
            Blob::new("answer", &text),
        ];
        let tokens = [("tokens", Value::from(asked.split(' ').count()))];
        let mut decision = Inference::new("stand_in", "orders", action)
            .timer(timer)
            .correlation(&conversation)
            .attributes(&tokens)
            .blobs(&blobs);
        if let Some(cause) = cause {
            decision = decision.caused_by(cause);
        }
        // `None` means that it was dropped and counted; the conversation goes on.
        let decided = journal
            .log(decision)
            .ok_or("the decision was not recorded")?;

        let Answer::Call(order) = answer else {
            journal.attach_outcome(decided, Outcome::new().correct(true));
            return Ok(decided);
        };
        // The tool's call is a decision too: caused by the one that asked for it.
        let price = price(order).await;
        let result = format!("{price} EUR");
        let blobs = [Blob::new("result", &result)];
        let call = Inference::new("tools", "orders", "price").caused_by(decided);
        let called = journal.log(call.correlation(&conversation).blobs(&blobs));
        cause = called.or(Some(decided));
        asked = format!("{question}\nprice({order}) is {result}");
    }
}

/// What the model wants.
enum Answer {
    /// The price of an order.
    Call(u32),
    Text(String),
}

impl Answer {
    fn text(&self) -> String {
        match self {
            Answer::Call(order) => format!("price({order})"),
            Answer::Text(text) => text.clone(),
        }
    }
}

/// Stands in for a language model.
async fn model(prompt: &str) -> Answer {
    tokio::time::sleep(Duration::from_millis(20)).await;
    if let Some((_, result)) = prompt.split_once(" is ") {
        return Answer::Text(format!("It costs {result}."));
    }
    let mut words = prompt.split(|sign: char| !sign.is_ascii_alphanumeric());
    match words.find_map(|word| word.parse().ok()) {
        Some(order) => Answer::Call(order),
        None => Answer::Text("You are welcome.".to_owned()),
    }
}

/// Stands in for a shop.
async fn price(order: u32) -> u32 {
    tokio::time::sleep(Duration::from_millis(5)).await;
    order % 100 + 9
}

/// Replaces addresses of e-mail in all texts, before they are queued.
fn hide_addresses(text: &mut Redaction<'_>) {
    let Some(given) = text.text().filter(|given| given.contains('@')) else {
        return;
    };
    let words = given.split_inclusive(char::is_whitespace);
    let hidden: String = words
        .map(|word| match word.trim_end() {
            address if address.contains('@') => word.replace(address, "[address]"),
            _ => word.to_owned(),
        })
        .collect();
    text.replace(hidden);
}
