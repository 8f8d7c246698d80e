"""The retrieval lab: which corpus, chunks, embedder and retriever find most, and at what cost."""
