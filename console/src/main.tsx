// SPDX-License-Identifier: Apache-2.0
import 'uplot/dist/uPlot.min.css';
import './console.css';
import { render } from 'preact';
import { App } from './app';
import { live } from './live';
import { comeBack } from './sign_in';

comeBack().finally(() => live.start());
render(<App />, document.getElementById('app')!);
