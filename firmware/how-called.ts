/** What a command that was called wrongly says at last. */
export const howCalled = (name: string) => `"drover ${name} --help" shows how it is called.`;
